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

local CLOSER = { ['('] = ')', ['['] = ']', ['{'] = '}', ['"'] = '"', ["'"] = "'", ['`'] = '`' }

--- How many of the closers behind the cursor, the nearest first, a part of a completion brings itself.
---@param part string
---@param closers string
---@return integer
function M.brings(part, closers)
  local own, count = {}, 0
  for char in part:gmatch('[%(%)%[%]{}"\'`]') do
    local quote = CLOSER[char] == char and closers:find(char, count + 1, true)
    if own[#own] == char then
      own[#own] = nil
    elseif quote then -- a string's end ends whatever was opened in it
      own, count = {}, quote
    elseif CLOSER[char] then
      own[#own + 1] = CLOSER[char]
    elseif #own == 0 and closers:sub(count + 1, count + 1) == char then
      count = count + 1
    end
  end
  return count
end

--- Puts text at the cursor, as a step of its own for `u`, whole for `.`, without indenting or wrapping it.
---@param text string
---@param over integer how many bytes behind the cursor it takes the place of
function M.insert(text, over)
  local buf = api.nvim_get_current_buf()
  end_undo_step(buf)
  if over > 0 then
    local row, col = unpack(api.nvim_win_get_cursor(0))
    api.nvim_buf_set_text(buf, row - 1, col, row - 1, col + over, {})
  end
  api.nvim_paste(text, false, -1)
  end_undo_step(buf)
end

return M
