--- Which buffers are documents, files of the user's that completions may come in, and why another is none.
--- Knows nothing of the server.
local M = {}

local api = vim.api

--- Bytes; what VS Code takes for a large file too. The server goes through all of a document at every key.
M.LARGEST = 20 * 1000 * 1000

---@param buf integer
---@return integer bytes
local function size(buf)
  return api.nvim_buf_get_offset(buf, api.nvim_buf_line_count(buf))
end

--- Why a buffer is no document, as words that go on after "this buffer"; nil where it is one.
---@param buf integer
---@return string|nil
function M.objection(buf)
  local name = api.nvim_buf_get_name(buf)
  if not api.nvim_buf_is_loaded(buf) then
    return 'is not loaded'
  elseif vim.bo[buf].buftype ~= '' then
    return "is a tool's, no file"
  elseif name == '' then
    return 'has no name yet'
  elseif vim.fn.isdirectory(name) == 1 then
    return 'is a folder'
  elseif size(buf) > M.LARGEST then
    return ('is larger than %d MB'):format(M.LARGEST / 1e6)
  end
end

return M
