--- Which part of a completion is taken, and putting it into the buffer. Knows nothing of where it comes from.
local M = {}

local api = vim.api

---@alias ingle.Part 'all'|'word'|'line'

--- What a word is goes by the buffer's 'iskeyword', so that it is one in every script and language.
local PATTERNS = {
  word = [=[^\_s*\%(\k\+\|\%(\k\@![^ \t\n]\)\+\)]=],
  line = [[^\n\?[^\n]*]],
}

--- The part of `text` that is taken.
---@param text string
---@param part ingle.Part
---@return string
function M.chunk(text, part)
  if part == 'all' then
    return text
  end
  local found = vim.fn.matchstr(text, PATTERNS[part])
  return found ~= '' and found or text
end

--- Closes the step that `u` would undo.
---@param buf integer
local function end_undo_step(buf)
  vim.bo[buf].undolevels = vim.bo[buf].undolevels
end

--- Puts text at the cursor, as a step of its own for `u`, whole for `.`, without indenting or wrapping it.
---@param text string
function M.insert(text)
  local buf = api.nvim_get_current_buf()
  end_undo_step(buf)
  api.nvim_paste(text, false, -1)
  end_undo_step(buf)
end

return M
