--- What the user may set, with its defaults. Knows nothing of what it does.
local M = {}

---@class ingle.Keys
---@field accept string|false
---@field accept_word string|false
---@field accept_line string|false
---@field next string|false
---@field previous string|false
---@field dismiss string|false
---@field suggest string|false

---@class ingle.Config
---@field cmd string[]|nil the language server; nil looks for it
---@field enabled boolean whether completions are on when Neovim starts
---@field filetypes table<string, boolean> where; '*' is every other file type
---@field root_markers string[] what a workspace's top folder holds
---@field native boolean draw by vim.lsp.inline_completion (Neovim 0.12)
---@field popup 'yield'|'join' while a completion menu is open: no ghost text, or what follows its selected entry
---@field keys ingle.Keys|false
---@field server table<string, any> the server's settings, as docs/completion.md has them

---@type ingle.Config
M.defaults = {
  cmd = nil,
  enabled = true,
  filetypes = { ['*'] = true },
  root_markers = { '.git', '.hg', '.jj' },
  native = false,
  popup = 'yield',
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-C-Right>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
    suggest = '<M-\\>',
  },
  server = {},
}

local current = M.defaults

---@param name string
---@param known table<string, any>
---@param given table<string, any>
local function check_names(name, known, given)
  for key in pairs(given) do
    if not vim.list_contains(known, key) then
      error(('ingle: there is no setting %s%s; there are %s'):format(name, key, table.concat(known, ', ')), 0)
    end
  end
end

---@param value any
---@return boolean
local function is_list_of_strings(value)
  local function is_string(item)
    return type(item) == 'string'
  end
  return vim.islist(value) and vim.iter(value):all(is_string)
end

---@param filetypes table<any, any>
local function check_filetypes(filetypes)
  for filetype, on in pairs(filetypes) do
    if type(filetype) ~= 'string' or type(on) ~= 'boolean' then
      local wanted = "file types with true or false, as { ['*'] = false, python = true }"
      error(('filetypes: expected %s, got %s'):format(wanted, vim.inspect({ [filetype] = on })), 0)
    end
  end
end

---@param keys ingle.Keys
local function check_keys(keys)
  for verb in pairs(M.defaults.keys) do
    vim.validate('keys.' .. verb, keys[verb], function(key)
      return key == false or type(key) == 'string' and key ~= ''
    end, 'string or false')
  end
end

---@param config ingle.Config
local function check(config)
  vim.validate('cmd', config.cmd, function(cmd)
    return is_list_of_strings(cmd) and #cmd > 0
  end, true, 'list of strings, the program first')
  vim.validate('enabled', config.enabled, 'boolean')
  vim.validate('filetypes', config.filetypes, 'table')
  check_filetypes(config.filetypes)
  vim.validate('root_markers', config.root_markers, is_list_of_strings, 'list of strings')
  vim.validate('native', config.native, 'boolean')
  vim.validate('popup', config.popup, function(value)
    return value == 'yield' or value == 'join'
  end, "'yield' or 'join'")
  vim.validate('keys', config.keys, function(value)
    return value == false or type(value) == 'table'
  end, 'table or false')
  if config.keys then
    check_keys(config.keys)
  end
  vim.validate('server', config.server, 'table')
end

--- Takes the user's settings. Raises an error that names the setting.
---@param given table<string, any>|nil
function M.set(given)
  given = given or {}
  local names = vim.list_extend(vim.tbl_keys(M.defaults), { 'cmd' })
  table.sort(names)
  check_names('', names, given)
  if type(given.keys) == 'table' then
    check_names('keys.', vim.tbl_keys(M.defaults.keys), given.keys)
  end
  local merged = vim.tbl_deep_extend('force', M.defaults, given)
  check(merged)
  current = merged
end

---@return ingle.Config
function M.get()
  return current
end

return M
