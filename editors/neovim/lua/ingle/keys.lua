--- The mappings. Where a key has nothing to do for ingle it does what it did before.
local M = {}

local api = vim.api

--- What was mapped before, by key.
---@type table<string, { ours: fun(), before: table<string, any> }>
local mapped = {}

--- Does what a key did before ingle took it.
---@param key string
---@param before table<string, any> as maparg() has it
local function press(key, before)
  if vim.tbl_isempty(before) then
    return api.nvim_feedkeys(vim.keycode(key), 'in', false)
  end
  local flags = before.noremap == 1 and 'in' or 'im'
  local keys = before.callback and before.callback() or before.rhs
  if before.expr == 1 and not before.callback then
    keys = api.nvim_eval(before.rhs)
  end
  if type(keys) == 'string' and keys ~= '' and (before.expr == 1 or not before.callback) then
    api.nvim_feedkeys(vim.keycode(keys), flags, false)
  end
end

---@param key string
---@param verb string
local function map(key, verb)
  local before = vim.fn.maparg(key, 'i', false, true)
  if before.buffer == 1 then
    before = {} -- it stands before ours anyway
  end
  local function ours()
    if not require('ingle')[verb]() then
      press(key, before)
    end
  end
  mapped[key] = { ours = ours, before = before }
  -- No <expr> mapping: it would run before the keys that were typed ahead of it are in the buffer.
  vim.keymap.set('i', key, ours, { desc = 'ingle: ' .. verb:gsub('_', ' ') })
end

--- Gives back the keys that are still ours; what others mapped since stays theirs.
function M.unmap()
  for key, entry in pairs(mapped) do
    if vim.fn.maparg(key, 'i', false, true).callback == entry.ours then
      vim.keymap.del('i', key)
      if not vim.tbl_isempty(entry.before) then
        vim.fn.mapset('i', false, entry.before)
      end
    end
  end
  mapped = {}
end

--- Maps the keys that the settings name.
function M.map()
  M.unmap()
  local keys = require('ingle.config').get().keys
  for verb, key in pairs(keys or {}) do
    if key then
      map(key, verb)
    end
  end
end

return M
