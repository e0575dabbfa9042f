--- Completion menus: Neovim's own, nvim-cmp's, blink.cmp's. Whether one is open, and what is selected in it.
local M = {}

local api = vim.api

--- Those that are loaded; asking for them would load them.
---@param name string
---@return table|nil
local function loaded(name)
  local module = package.loaded[name]
  return type(module) == 'table' and module or nil
end

---@return boolean
function M.visible()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  local blink, cmp = loaded('blink.cmp'), loaded('cmp')
  if blink and blink.is_menu_visible and blink.is_menu_visible() then
    return true
  end
  return cmp ~= nil and cmp.visible ~= nil and cmp.visible()
end

--- What the selected entry would insert.
---@return string|nil
local function selected_text()
  if vim.fn.pumvisible() == 1 then
    local info = vim.fn.complete_info({ 'selected', 'items' })
    local item = info.items[info.selected + 1]
    return item and item.word
  end
  local blink, cmp = loaded('blink.cmp'), loaded('cmp')
  local entry
  if blink and blink.get_selected_item then
    entry = blink.get_selected_item()
  elseif cmp and cmp.get_selected_entry then
    local selected = cmp.get_selected_entry()
    entry = selected and selected:get_completion_item()
  end
  return entry and (vim.tbl_get(entry, 'textEdit', 'newText') or entry.insertText or entry.label)
end

--- How much of `word` stands before the cursor already, letters' case aside.
---@param before string the line up to the cursor
---@param word string
---@return integer bytes
function M.overlap(before, word)
  for length = math.min(#before, #word), 1, -1 do
    if before:sub(-length):lower() == word:sub(1, length):lower() then
      return length
    end
  end
  return 0
end

--- The selected entry as LSP's SelectedCompletionInfo; nil where none is selected.
---@param encoding 'utf-8'|'utf-16'|'utf-32'
---@return { range: lsp.Range, text: string }|nil
function M.selected(encoding)
  local word = M.visible() and selected_text()
  if not word or word == '' or word:find('\n') then
    return nil
  end
  local row, col = unpack(api.nvim_win_get_cursor(0))
  local line = api.nvim_get_current_line()
  local start = col - M.overlap(line:sub(1, col), word)
  local function position(byte)
    return { line = row - 1, character = vim.str_utfindex(line, encoding, byte, false) }
  end
  return { range = { start = position(start), ['end'] = position(col) }, text = word }
end

--- Whether nvim-cmp tells us of its menu.
local told_by_cmp = false

--- Calls `changed` when a menu opens or closes, or another entry is selected.
---@param group integer
---@param changed fun()
function M.watch(group, changed)
  local later = vim.schedule_wrap(changed) -- at the event itself the menu is not yet what it becomes
  api.nvim_create_autocmd({ 'CompleteChanged', 'CompleteDone' }, { group = group, callback = later })
  api.nvim_create_autocmd('User', {
    group = group,
    pattern = { 'BlinkCmpMenuOpen', 'BlinkCmpMenuClose', 'BlinkCmpMenuPositionUpdate' },
    callback = later,
  })
  -- nvim-cmp has no autocommands for it, and is often loaded as late as this.
  api.nvim_create_autocmd('InsertEnter', {
    group = group,
    callback = vim.schedule_wrap(function()
      local cmp = loaded('cmp')
      if cmp and cmp.event and not told_by_cmp then
        told_by_cmp = true
        cmp.event:on('menu_opened', later)
        cmp.event:on('menu_closed', later)
      end
    end),
  })
end

return M
