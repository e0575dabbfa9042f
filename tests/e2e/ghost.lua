-- Ghost text for a Neovim that has no vim.lsp.inline_completion (0.11): the least that shows and accepts an item.
local api, lsp = vim.api, vim.lsp
local METHOD, ns = 'textDocument/inlineCompletion', api.nvim_create_namespace('ghost')
local M, item, pending, timer = {}, nil, nil, vim.uv.new_timer()

local function clear()
  api.nvim_buf_clear_namespace(0, ns, 0, -1)
  item = nil
end

local function cancel()
  if pending then
    pending.client:cancel_request(pending.id)
    pending = nil
  end
end

local function show(client, offered)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local line = api.nvim_get_current_line()
  local start = vim.str_byteindex(line, client.offset_encoding, offered.range.start.character, false)
  local typed = line:sub(start + 1, col)
  if offered.insertText:sub(1, #typed) ~= typed then
    return
  end
  local lines = vim.split(offered.insertText:sub(#typed + 1), '\n', { plain = true })
  local below = vim.tbl_map(function(text)
    return { { text, 'Comment' } }
  end, vim.list_slice(lines, 2))
  api.nvim_buf_set_extmark(0, ns, row - 1, col, {
    virt_text = { { lines[1], 'Comment' } },
    virt_text_pos = 'inline',
    virt_lines = #below > 0 and below or nil,
  })
  item = { client = client, text = table.concat(lines, '\n'), command = offered.command }
end

local function request()
  local client = lsp.get_clients({ bufnr = 0, method = METHOD })[1]
  if not client or api.nvim_get_mode().mode ~= 'i' then
    return
  end
  local buffer, tick = api.nvim_get_current_buf(), api.nvim_buf_get_changedtick(0)
  local params = lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 2 }
  local _, id = client:request(METHOD, params, function(err, result)
    pending = nil
    local offered = not err and result and result.items[1]
    if offered and api.nvim_buf_get_changedtick(0) == tick and api.nvim_get_mode().mode == 'i' then
      show(client, offered)
    end
  end, buffer) -- 0 would do for the request, but not for the changes that have to be sent before it
  pending = { client = client, id = id }
end

function M.setup()
  api.nvim_create_autocmd({ 'InsertEnter', 'TextChangedI', 'CursorMovedI', 'InsertLeave' }, {
    callback = function()
      cancel()
      clear()
      timer:stop()
      timer:start(50, 0, vim.schedule_wrap(request))
    end,
  })
  -- No <expr> mapping: it would run before the keys that were typed ahead of it are in the buffer.
  vim.keymap.set('i', '<Tab>', function()
    local accepted = item
    if not accepted then
      return api.nvim_feedkeys(vim.keycode('<Tab>'), 'in', false)
    end
    clear()
    api.nvim_paste(accepted.text, false, -1)
    accepted.client:exec_cmd(accepted.command, { bufnr = 0 })
  end)
end

return M
