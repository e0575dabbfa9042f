--- Draws text that is not there yet, behind the cursor. Knows nothing of where it comes from.
local M = {}

local api = vim.api
local ns = api.nvim_create_namespace('ingle.ghost')

--- The buffer that it is drawn in.
---@type integer|nil
local drawn

local function highlights()
  api.nvim_set_hl(
    0,
    'IngleGhost',
    { link = vim.fn.hlexists('ComplHint') == 1 and 'ComplHint' or 'Comment', default = true }
  )
  api.nvim_set_hl(0, 'IngleCount', { link = 'NonText', default = true })
end

--- Text as it will look from a screen column on: virtual text shows a tab as ^I.
---@param text string
---@param column integer
---@param tabstop integer
---@return string
function M.expand_tabs(text, column, tabstop)
  local out = {}
  for piece, tab in text:gmatch('([^\t]*)(\t?)') do
    column = column + api.nvim_strwidth(piece)
    local width = tab ~= '' and tabstop - column % tabstop or 0
    column = column + width
    out[#out + 1] = piece .. (' '):rep(width)
  end
  return table.concat(out)
end

--- Takes away what is drawn.
function M.clear()
  if drawn and api.nvim_buf_is_valid(drawn) then
    api.nvim_buf_clear_namespace(drawn, ns, 0, -1)
  end
  drawn = nil
end

--- Draws `text` at the cursor of the current window, in no other window of its buffer.
---@param text string
---@param count string which of how many, "" for the only one
---@param over string what it takes the place of behind the cursor
function M.draw(text, count, over)
  M.clear()
  highlights()
  local win, buf = api.nvim_get_current_win(), api.nvim_get_current_buf()
  local row, col = unpack(api.nvim_win_get_cursor(win))
  local tabstop = vim.bo[buf].tabstop
  local lines = vim.split(text, '\n', { plain = true })
  local line = api.nvim_get_current_line()
  local column = vim.fn.strdisplaywidth(line:sub(1, col))
  local first = { { M.expand_tabs(lines[1], column, tabstop), 'IngleGhost' } }
  local below = {} ---@type [string, string][][]
  for i = 2, #lines do
    below[i - 1] = { { M.expand_tabs(lines[i], 0, tabstop), 'IngleGhost' } }
  end
  if over ~= '' then -- what stands there is drawn over, and with it all behind it, which is drawn anew
    local behind = M.expand_tabs(line:sub(col + #over + 1), column + api.nvim_strwidth(first[1][1]), tabstop)
    first[2] = { behind .. (' '):rep(#over) }
  end
  if count ~= '' then
    table.insert(below[#below] or first, { ' ' .. count, 'IngleCount' })
  end
  api.nvim_buf_set_extmark(buf, ns, row - 1, col, {
    virt_text = first,
    virt_text_pos = over ~= '' and 'overlay' or 'inline',
    virt_lines = #below > 0 and below or nil,
    hl_mode = 'combine',
  })
  if api.nvim__ns_set then
    api.nvim__ns_set(ns, { wins = { win } })
  end
  drawn = buf
end

return M
