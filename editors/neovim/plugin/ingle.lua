-- Neovim sources this file when it starts. It loads nothing yet but the mappings' targets: the rest waits for a file.
if vim.g.loaded_ingle then
  return
end
vim.g.loaded_ingle = true

if vim.fn.has('nvim-0.11') == 0 then
  vim.notify('ingle: this plugin needs Neovim 0.11 or later', vim.log.levels.ERROR)
  return
end

vim.api.nvim_create_user_command('Ingle', function(call)
  require('ingle.commands').run(call)
end, {
  nargs = '*',
  range = true,
  desc = 'ingle: completions from your own model',
  complete = function(_, line)
    return require('ingle.commands').complete(line)
  end,
})

for _, verb in ipairs({ 'accept', 'accept_word', 'accept_line', 'next', 'previous', 'dismiss', 'suggest' }) do
  vim.keymap.set('i', ('<Plug>(ingle-%s)'):format(verb:gsub('_', '-')), function()
    require('ingle')[verb]()
  end, { desc = 'ingle: ' .. verb:gsub('_', ' ') })
end

-- What `setup` says is heard when it is called in the user's configuration, which has been read by then.
if vim.v.vim_did_enter == 1 then
  vim.schedule(function()
    require('ingle').start()
  end)
else
  vim.api.nvim_create_autocmd('VimEnter', {
    once = true,
    callback = function()
      require('ingle').start()
    end,
  })
end
