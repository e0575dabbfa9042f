--- `:Ingle …`: its subcommands, and what comes after them. Each asks the server, or the `ingle` program, and shows it.
local M = {}

local api = vim.api

---@class ingle.Subcommand
---@field run fun(words: string[], call: table)
---@field complete (fun(): string[])|nil

---@param text string
---@param level integer|nil
local function say(text, level)
  vim.notify(text, level or vim.log.levels.INFO)
end

--- Shows text in a window at the bottom, in the place of what it showed before; q closes it.
---@param name string
---@param text string
local function show(name, text)
  local lines = vim.split(vim.trim(text), '\n')
  for _, win in ipairs(api.nvim_tabpage_list_wins(0)) do
    if vim.bo[api.nvim_win_get_buf(win)].filetype == 'ingle-' .. name then
      api.nvim_win_close(win, true)
    end
  end
  vim.cmd(('botright %dnew'):format(math.min(#lines + 1, 15)))
  local buf = api.nvim_get_current_buf()
  api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].buftype, vim.bo[buf].bufhidden, vim.bo[buf].modifiable = 'nofile', 'wipe', false
  vim.bo[buf].filetype = 'ingle-' .. name
  vim.keymap.set('n', 'q', '<Cmd>close<CR>', { buffer = buf, nowait = true })
end

--- Runs the `ingle` program, which stands beside the language server.
---@param arguments string[]
---@param done fun(out: string)
local function run_ingle(arguments, done)
  local program = require('ingle.client').find('ingle')
  if not program then
    return say('ingle: the `ingle` program is not on PATH', vim.log.levels.ERROR)
  end
  vim.system(vim.list_extend({ program }, arguments), { text = true }, function(result)
    vim.schedule(function()
      if result.code == 0 then
        done(result.stdout)
      else
        say(vim.trim(result.stderr), vim.log.levels.ERROR)
      end
    end)
  end)
end

---@return string[]
local function model_names()
  local program = require('ingle.client').find('ingle')
  if not program then
    return {}
  end
  local listed = vim.system({ program, 'model', 'list', '--json' }, { text = true, timeout = 2000 }):wait()
  local ok, answer = pcall(vim.json.decode, listed.stdout)
  return vim.tbl_map(function(model)
    return model.name
  end, ok and answer.installed or {})
end

--- Whether completions come in the current buffer now, and if not, what keeps them away.
---@return string
local function on_or_off()
  local buf, client = api.nvim_get_current_buf(), require('ingle.client')
  if not client.on() then
    return 'completions are off everywhere; `:Ingle enable` turns them on'
  end
  local objection = require('ingle.document').objection(buf)
  if objection then
    return ('completions are on, but none come here: this buffer %s'):format(objection)
  end
  return ('completions are %s in this buffer'):format(client.wanted(buf) and 'on' or 'off')
end

---@param on boolean|nil
---@return ingle.Subcommand
local function switch(on)
  return {
    run = function(words)
      local where = words[1] or 'everywhere'
      if where ~= 'here' and where ~= 'everywhere' then
        return say(('ingle: %s is neither here nor everywhere'):format(where), vim.log.levels.ERROR)
      end
      require('ingle').toggle(where, on)
      say('ingle: ' .. on_or_off())
    end,
    complete = function()
      return { 'here', 'everywhere' }
    end,
  }
end

--- The lines that a command was given, or the cursor's, as an LSP span.
---@param call table
---@return integer[]
local function span(call)
  local client = assert(require('ingle.client').running())
  local last = api.nvim_buf_get_lines(0, call.line2 - 1, call.line2, true)[1]
  return { call.line1 - 1, 0, call.line2 - 1, vim.str_utfindex(last, client.offset_encoding) }
end

local function status()
  local now = require('ingle.status').get()
  local command = require('ingle.client').command()
  local message = require('ingle.status').message()
  if now.reason ~= '' and message:find(now.reason, 1, true) then
    message = '' -- the reason says it already
  end
  local lines = {
    ('ingle: %s%s'):format(now.state, now.model ~= '' and ', ' .. now.model or ''),
    now.reason,
    message ~= '' and 'last message: ' .. message or '',
    'language server: ' .. (command and table.concat(command, ' ') or 'not found'),
  }
  say(table.concat(
    vim.tbl_filter(function(line)
      return line ~= ''
    end, lines),
    '\n'
  ))
end

--- Shows the end of a log in a tab of its own, the one that it has already. It is not the user's file to write.
---@param path string
local function show_log(path)
  vim.cmd('noswapfile tab drop ' .. vim.fn.fnameescape(path))
  vim.cmd.edit({ bang = true }) -- it may have grown since
  vim.bo.buftype, vim.bo.modifiable, vim.bo.readonly = 'nowrite', false, true
  vim.cmd.normal({ 'G', bang = true })
end

local function log()
  local sent = require('ingle.client').execute('ingle.status', {}, function(_, answer)
    local path = vim.tbl_get(answer or {}, 'daemon', 'log')
    show_log(type(path) == 'string' and path or vim.lsp.log.get_filename())
  end)
  if not sent then
    show_log(vim.lsp.log.get_filename())
  end
end

---@param call table
local function action(_, call)
  local diagnostics = vim.diagnostic.get(0, { lnum = call.range == 0 and call.line1 - 1 or nil })
  vim.lsp.buf.code_action({
    context = { diagnostics = vim.lsp.diagnostic.from(diagnostics) },
    filter = function(_, client_id)
      local client = vim.lsp.get_client_by_id(client_id)
      return client ~= nil and client.name == require('ingle.client').NAME
    end,
    range = call.range > 0 and {
      start = { call.line1, 0 },
      ['end'] = { call.line2, #api.nvim_buf_get_lines(0, call.line2 - 1, call.line2, true)[1] },
    } or nil,
  })
end

---@param words string[]
---@param call table
local function edit(words, call)
  if #words == 0 then
    return say('ingle: say what is to be done: `:Ingle edit use a dictionary`', vim.log.levels.ERROR)
  end
  local client = require('ingle.client')
  if not client.of(0) then
    return say('ingle: no ingle-lsp is attached here; :checkhealth ingle tells why', vim.log.levels.ERROR)
  end
  client.execute('ingle.act', { 'edit', vim.uri_from_bufnr(0), span(call), table.concat(words, ' ') })
end

---@type table<string, ingle.Subcommand>
local subcommands = {
  enable = switch(true),
  disable = switch(false),
  toggle = switch(nil),
  status = { run = status },
  why = {
    run = function(words)
      local number = words[1] or '1'
      if #words > 1 or not number:match('^[1-9]%d*$') then
        return say('ingle: say of how many completions: `:Ingle why 3`', vim.log.levels.ERROR)
      end
      run_ingle({ 'why', 'completions', '-n', number }, function(out)
        show('why', out)
      end)
    end,
  },
  model = {
    run = function(words)
      run_ingle(words[1] and { 'model', 'use', words[1] } or { 'model', 'list' }, function(out)
        say(vim.trim(out))
      end)
    end,
    complete = model_names,
  },
  log = { run = log },
  restart = {
    run = function()
      require('ingle.client').restart()
    end,
  },
  action = { run = action },
  edit = { run = edit },
}

--- Carries one out.
---@param call table as nvim_create_user_command has it
function M.run(call)
  local words = vim.deepcopy(call.fargs)
  local name = table.remove(words, 1) or 'status'
  local subcommand = subcommands[name]
  if not subcommand then
    local names = vim.tbl_keys(subcommands)
    table.sort(names)
    return say(
      ('ingle: there is no :Ingle %s; there are %s'):format(name, table.concat(names, ', ')),
      vim.log.levels.ERROR
    )
  end
  subcommand.run(words, call)
end

--- What a line may go on with.
---@param line string
---@return string[]
function M.complete(line)
  local typed = line:match('^.-I%l*%s+(.*)$') or '' -- `:Ing` will do, where no other command begins so
  local words = vim.split(typed, '%s+', { trimempty = true })
  local begun = line:match('%s$') and '' or table.remove(words) or ''
  local names = {}
  if #words == 0 then
    names = vim.tbl_keys(subcommands)
  elseif #words == 1 and subcommands[words[1]] and subcommands[words[1]].complete then
    names = subcommands[words[1]].complete()
  end
  table.sort(names)
  return vim.tbl_filter(function(name)
    return vim.startswith(name, begun)
  end, names)
end

return M
