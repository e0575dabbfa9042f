--- ingle in Neovim: what a user's configuration calls. Each verb loads what it needs.
local M = {}

local started = false

--- Takes settings (see |ingle-settings|). Not needed where the defaults will do.
---@param settings table<string, any>|nil
function M.setup(settings)
  require('ingle.config').set(settings)
  if started then
    M.start()
  end
end

--- Begins, or begins again with other settings. The plugin does so by itself.
function M.start()
  started = true
  require('ingle.keys').map()
  require('ingle.client').watch()
  require('ingle.suggest').watch()
end

--- Takes the completion that is shown. For mappings of your own.
---@return boolean taken false where none is shown
function M.accept()
  return require('ingle.suggest').accept('all')
end

--- Takes its next word.
---@return boolean taken
function M.accept_word()
  return require('ingle.suggest').accept('word')
end

--- Takes it as far as the end of a line.
---@return boolean taken
function M.accept_line()
  return require('ingle.suggest').accept('line')
end

--- Shows the next candidate; the first time, more are asked for.
---@return boolean done
function M.next()
  return require('ingle.suggest').select(1)
end

--- Shows the previous candidate.
---@return boolean done
function M.previous()
  return require('ingle.suggest').select(-1)
end

--- Takes the completion away.
---@return boolean done false where none is shown
function M.dismiss()
  return require('ingle.suggest').dismiss()
end

--- Asks for a completion now, wherever the cursor stands.
---@return boolean done
function M.suggest()
  return require('ingle.suggest').ask()
end

--- Whether a completion is shown.
---@return boolean
function M.visible()
  return require('ingle.suggest').visible()
end

--- Switches completions on and off.
---@param where 'here'|'everywhere'|nil in this buffer, or everywhere (the default)
---@param on boolean|nil nil switches to what it was not
function M.toggle(where, on)
  vim.validate('where', where, function(value)
    return value == 'here' or value == 'everywhere'
  end, true, "'here' or 'everywhere'")
  vim.validate('on', on, 'boolean', true)
  require('ingle.client').switch(where or 'everywhere', on)
end

--- For the status line: `%{%v:lua.require'ingle'.statusline()%}`.
---@return string
function M.statusline()
  return require('ingle.status').line()
end

return M
