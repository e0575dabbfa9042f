--- How ingle is, for the status line and `:Ingle status`; and the server's messages. Draws nothing but those.
local M = {}

local api = vim.api

---@class ingle.Status
---@field state 'idle'|'thinking'|'loading'|'off'|'offline'|'error'
---@field model string
---@field reason string a sentence for the user; '' where there is nothing to say

--- What the server said last.
---@type ingle.Status|nil
local said

local drawn = ''
local message = ''

---@param buf integer|nil
---@return ingle.Status
function M.get(buf)
  buf = buf or api.nvim_get_current_buf()
  local client = require('ingle.client')
  if client.problem() ~= '' then
    return { state = 'error', model = '', reason = client.problem() }
  end
  if not client.on() or not client.wanted(buf) then
    local reason = client.on() and 'Completions are off in this buffer.' or 'Completions are off.'
    return { state = 'off', model = '', reason = reason }
  end
  local objection = not client.of(buf) and require('ingle.document').objection(buf)
  if objection then
    return { state = 'off', model = '', reason = ('No completions come here: this buffer %s.'):format(objection) }
  end
  if said and client.running() then
    return said
  end
  if #vim.lsp.get_clients({ name = client.NAME, _uninitialized = true }) > 0 then
    return { state = 'loading', model = '', reason = 'ingle-lsp is starting.' }
  end
  return { state = 'off', model = '', reason = 'No file is open that ingle-lsp could be attached to.' }
end

--- One word or two for the status line.
---@return string
function M.line()
  local status = M.get()
  if status.state == 'idle' and status.model ~= '' then
    return 'ingle: ' .. status.model
  end
  return 'ingle: ' .. status.state
end

--- Something of it may have changed: the status line is drawn again if it did, and `User IngleStatus` tells others.
function M.changed()
  local line = M.line()
  if line ~= drawn then
    drawn = line
    api.nvim_exec_autocmds('User', { pattern = 'IngleStatus', data = M.get() })
    vim.cmd.redrawstatus({ bang = true })
  end
end

--- The server has ended: what it said holds no more.
function M.forget()
  said = nil
  M.changed()
end

local LEVELS = { vim.log.levels.ERROR, vim.log.levels.WARN, vim.log.levels.INFO, vim.log.levels.DEBUG }

--- A message as one line that needs no prompt to press Enter; the whole of it is in `:Ingle status`.
---@param text string
---@return string
local function one_line(text)
  local room = vim.o.columns - 14
  text = text:gsub('\n', ' ')
  return vim.fn.strdisplaywidth(text) <= room and text or vim.fn.strcharpart(text, 0, room - 1) .. '…'
end

--- Shows a message: an answer of several lines in a window, a warning when nobody types. In Insert mode Neovim would
--- write it where `-- INSERT --` stands, and that comes back before anybody has read it.
---@param text string
---@param level integer
local function show(text, level)
  message = text
  if api.nvim_get_mode().mode:match('^[iR]') then
    api.nvim_create_autocmd('InsertLeave', {
      once = true,
      callback = vim.schedule_wrap(function()
        vim.notify(one_line(text), level)
      end),
    })
  elseif text:find('\n') then
    vim.lsp.util.open_floating_preview(vim.split(text, '\n'), 'markdown', { border = 'rounded', max_width = 80 })
  else
    vim.notify(one_line(text), level)
  end
end

--- What the server last had to say to the user.
---@return string
function M.message()
  return message
end

--- What the server tells, by its method.
---@type table<string, lsp.Handler>
M.handlers = {
  ['ingle/status'] = function(_, status)
    said = status
    M.changed()
  end,
  ['window/showMessage'] = function(_, params)
    show(params.message, LEVELS[params.type] or vim.log.levels.INFO)
  end,
}

return M
