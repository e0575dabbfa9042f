--- From a keystroke to what is shown: asks the server, holds its answer, gives parts of it away.
--- When to ask for how long, and what is worth showing, is the server's to say: it is asked at every key.
local M = {}

local api, lsp = vim.api, vim.lsp

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2

---@class ingle.Item
---@field text string
---@field over string closers behind the cursor that it brings itself
---@field command lsp.Command|nil

---@class ingle.Suggestion
---@field client vim.lsp.Client
---@field buf integer
---@field row integer where the items begin, counted from 0
---@field col integer bytes
---@field least integer how many bytes of them were there when they were offered; with fewer, something was deleted
---@field tail string what followed the cursor on its line
---@field items ingle.Item[]
---@field index integer
---@field invoked boolean whether the user asked, and these are all there are

--- What is shown.
---@type ingle.Suggestion|nil
local shown

--- The request that is on its way.
---@type { client: vim.lsp.Client, id: integer }|nil
local pending

--- Where the cursor was, and in what, when something was last asked or drawn.
local last = ''

--- The item that the server was last told of.
local told = ''

---@param item ingle.Item
---@return string
local function id_of(item)
  return item.command and item.command.arguments and item.command.arguments[1] or ''
end

local function cancel()
  if pending then
    pending.client:cancel_request(pending.id)
    pending = nil
  end
end

local function hide()
  shown = nil
  require('ingle.ghost').clear()
end

--- What of an item is not in the buffer yet; nil where something else is.
--- Read from the buffer each time: with keys waiting, Neovim tells nobody that text has changed.
---@param suggestion ingle.Suggestion
---@param item ingle.Item
---@return string|nil
local function rest(suggestion, item)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  row = row - 1
  if api.nvim_get_current_buf() ~= suggestion.buf or row < suggestion.row then
    return nil
  end
  if vim.fn.getcurpos()[4] > 0 or not vim.bo.modifiable then -- behind the line's end ('virtualedit'), or locked since
    return nil
  end
  if row == suggestion.row and col < suggestion.col or api.nvim_get_current_line():sub(col + 1) ~= suggestion.tail then
    return nil
  end
  local lines = api.nvim_buf_get_text(suggestion.buf, suggestion.row, suggestion.col, row, col, {})
  local typed = table.concat(lines, '\n')
  if #typed >= suggestion.least and #item.text > #typed and vim.startswith(item.text, typed) then
    return item.text:sub(#typed + 1)
  end
end

--- Draws what is left of the selected candidate, or of the next one that the text leads to. Hides all where none fits.
---@return boolean
local function draw()
  for step = 0, shown and #shown.items - 1 or -1 do
    local index = (shown.index - 1 + step) % #shown.items + 1
    local left = rest(shown, shown.items[index])
    if left then
      shown.index = index
      local count = #shown.items > 1 and ('(%d/%d)'):format(index, #shown.items) or ''
      require('ingle.ghost').draw(left, count, shown.items[index].over)
      local id = id_of(shown.items[index])
      if id ~= '' and id ~= told then
        told = id
        shown.client:notify('ingle/shown', { id = id })
      end
      return true
    end
  end
  hide()
  return false
end

--- An item's text with what the buffer has before the cursor: the server reads what is no UTF-8 as question marks.
---@param text string
---@param before string
---@return string
local function with_own_bytes(text, before)
  local head = text:sub(1, #before)
  local function without_bytes(part)
    return (part:gsub('[\128-\255]', '?'))
  end
  return without_bytes(head) == without_bytes(before) and before .. text:sub(#before + 1) or text
end

--- The items of an answer as they stand in the buffer.
---@param client vim.lsp.Client
---@param result lsp.InlineCompletionList|lsp.InlineCompletionItem[]
---@param invoked boolean
---@return ingle.Suggestion|nil
local function suggestion_of(client, result, invoked)
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local line = api.nvim_get_current_line()
  local items, start = {}, col
  for _, item in ipairs(result.items or result) do
    if type(item.insertText) == 'string' then
      local range, over = item.range, ''
      if range then
        start = vim.str_byteindex(line, client.offset_encoding, range.start.character, false)
        over = line:sub(col + 1, vim.str_byteindex(line, client.offset_encoding, range['end'].character, false))
      end
      local text = with_own_bytes((item.insertText:gsub('\r\n?', '\n')), line:sub(start + 1, col))
      items[#items + 1] = { text = text, over = over, command = item.command }
    end
  end
  if #items == 0 then
    return nil
  end
  return {
    client = client,
    buf = api.nvim_get_current_buf(),
    row = row - 1,
    col = start,
    least = col - start,
    tail = line:sub(col + 1),
    items = items,
    index = 1,
    invoked = invoked,
  }
end

--- Asks the server. `step` is how far from the first candidate the one is that will be shown.
---@param client vim.lsp.Client
---@param kind integer
---@param step integer
local function request(client, kind, step)
  cancel()
  local buf, tick = api.nvim_get_current_buf(), api.nvim_buf_get_changedtick(0)
  local params = lsp.util.make_position_params(0, client.offset_encoding) --[[@as lsp.InlineCompletionParams]]
  params.context =
    { triggerKind = kind, selectedCompletionInfo = require('ingle.popup').selected(client.offset_encoding) }
  local this = { client = client }
  local sent, id = client:request(METHOD, params, function(err, result)
    if pending ~= this then
      return
    end
    pending = nil
    local here = api.nvim_get_current_buf() == buf and api.nvim_buf_get_changedtick(buf) == tick
    if err or not result or not here or not api.nvim_get_mode().mode:match('^i') then
      return
    end
    local suggestion = suggestion_of(client, result, kind == INVOKED)
    if suggestion then
      suggestion.index = step % #suggestion.items + 1
      shown = suggestion
    end
    draw()
  end, buf)
  if sent then
    this.id = id
    pending = this
  end
end

--- The server, where completions are wanted.
---@return vim.lsp.Client|nil
local function server()
  local buf = api.nvim_get_current_buf()
  local client = require('ingle.client')
  return client.wanted(buf) and client.of(buf) or nil
end

--- Whether it is time to ask: somebody types, no macro does, and no menu is in the way. Nor is one recorded: it would
--- hold the key that took a completion, and put a tab there when it runs.
---@return boolean
local function open_for_it()
  local in_macro = vim.fn.reg_executing() ~= '' or vim.fn.reg_recording() ~= ''
  if not api.nvim_get_mode().mode:match('^i') or in_macro then
    return false
  end
  return require('ingle.config').get().popup == 'join' or not require('ingle.popup').visible()
end

---@return string
local function place()
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local selected = require('ingle.popup').selected('utf-8')
  local buf = api.nvim_get_current_buf()
  local beyond = vim.fn.getcurpos()[4]
  local parts = { buf, api.nvim_buf_get_changedtick(buf), row, col, beyond, selected and selected.text or '' }
  return table.concat(parts, ' ')
end

--- Something was typed, or the cursor moved, or a menu came or went.
function M.refresh()
  local client = open_for_it() and server()
  if not client then
    cancel()
    last = ''
    return hide()
  end
  local now = place()
  if now == last then
    return
  end
  last = now
  cancel()
  if not draw() then
    request(client, AUTOMATIC, 0)
  end
end

--- Whether a completion is shown, and still fits.
---@return boolean
function M.visible()
  return shown ~= nil and rest(shown, shown.items[shown.index]) ~= nil
end

--- Tells the server what was taken.
---@param suggestion ingle.Suggestion
---@param item ingle.Item
---@param left string what is not in the buffer yet
local function tell_taken(suggestion, item, left)
  if left == '' then
    if item.command then
      require('ingle.client').execute(item.command.command, item.command.arguments)
    end
    return
  end
  local taken = item.text:sub(1, #item.text - #left)
  local length = vim.str_utfindex(taken, suggestion.client.offset_encoding)
  suggestion.client:notify('ingle/partlyAccepted', { id = id_of(item), acceptedLength = length })
end

--- Puts a part of an item into the buffer.
---@param suggestion ingle.Suggestion
---@param part ingle.Part
---@return boolean taken false where it does not fit any more
function M.take(suggestion, part)
  local accept = require('ingle.accept')
  local item = suggestion.items[suggestion.index]
  local left = rest(suggestion, item)
  if not left then
    return false
  end
  local chunk = accept.chunk(left, part)
  cancel()
  require('ingle.ghost').clear()
  accept.insert(chunk, #chunk == #left and #item.over or accept.brings(chunk, item.over))
  tell_taken(suggestion, item, left:sub(#chunk + 1))
  return true
end

--- Takes a part of what is shown.
---@param part ingle.Part
---@return boolean taken
function M.accept(part)
  local native = require('ingle.native')
  if native.active() then
    return native.accept(part)
  end
  if not shown or not M.take(shown, part) then
    return false
  end
  M.refresh()
  return true
end

--- Shows another candidate. Typing brings one; the others are asked for when they are wanted.
---@param step integer
---@return boolean done
function M.select(step)
  local native = require('ingle.native')
  if native.active() then
    return native.select(step)
  end
  local client = server()
  if not shown or not client or not M.visible() then
    return false
  end
  if shown.invoked then
    shown.index = (shown.index - 1 + step) % #shown.items + 1
    draw()
  else
    request(client, INVOKED, step)
  end
  return true
end

--- Asks for completions now, past all that would keep them away.
---@return boolean done
function M.ask()
  local client = server()
  if not client or require('ingle.native').active() then -- that has no way to ask by hand
    return false
  end
  hide()
  request(client, INVOKED, 0)
  return true
end

--- The user will not have it.
---@return boolean done false where nothing is shown
function M.dismiss()
  local native = require('ingle.native')
  if native.active() then
    return native.dismiss()
  end
  local was_shown = shown
  if not was_shown then
    return false
  end
  cancel()
  hide()
  was_shown.client:notify('ingle/rejected', { id = id_of(was_shown.items[was_shown.index]) })
  return true
end

--- Completions were switched on or off.
function M.switched()
  local native = require('ingle.native')
  if native.active() then
    native.switch_all()
  else
    M.refresh()
  end
end

--- The server has been attached to a buffer.
---@param buf integer
function M.attached(buf)
  local native = require('ingle.native')
  if native.active() then
    native.switch(buf)
  elseif buf == api.nvim_get_current_buf() then
    last = ''
    M.refresh()
  end
end

local function leave()
  cancel()
  M.dismiss()
  last = ''
end

--- Follows the typing.
function M.watch()
  local group = api.nvim_create_augroup('ingle.suggest', {})
  leave()
  if require('ingle.native').active() then
    return
  end
  api.nvim_create_autocmd({ 'InsertEnter', 'TextChangedI', 'TextChangedP', 'CursorMovedI', 'BufEnter', 'WinEnter' }, {
    group = group,
    callback = M.refresh,
  })
  api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave', 'WinLeave' }, { group = group, callback = leave })
  require('ingle.popup').watch(group, M.refresh)
end

return M
