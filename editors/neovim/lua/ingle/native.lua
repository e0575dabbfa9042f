--- Neovim's own client of inline completions (0.12), where the user prefers it to ours: it draws, this takes parts.
local M = {}

local native = vim.lsp.inline_completion

--- Milliseconds that it waits after a keystroke before it asks (`Completor:automatic_request`).
M.WAITED_MS = 200

--- Whether it is there and wanted.
---@return boolean
function M.active()
  return native ~= nil and require('ingle.config').get().native
end

--- Switches it on in a buffer, or off, as completions are wanted there.
---@param buf integer
function M.switch(buf)
  native.enable(require('ingle.client').wanted(buf), { bufnr = buf })
end

--- Does so in every buffer that the server is attached to.
function M.switch_all()
  local client = require('ingle.client').running()
  for buf in pairs(client and client.attached_buffers or {}) do
    M.switch(buf)
  end
end

---@param step integer
---@return boolean done
function M.select(step)
  native.select({ count = step })
  return true
end

--- Takes what is shown away: it is hidden when it is handed over, and then put nowhere.
---@return boolean done
function M.dismiss()
  return native.get({
    on_accept = function(item)
      local client = assert(vim.lsp.get_client_by_id(item.client_id))
      client:notify('ingle/rejected', { id = vim.tbl_get(item, 'command', 'arguments', 1) or '' })
    end,
  })
end

--- Takes a part of what is shown.
---@param part ingle.Part
---@return boolean taken
function M.accept(part)
  return native.get({
    on_accept = function(item)
      local start = item.range.start
      local line = vim.api.nvim_get_current_line()
      local _, col = unpack(vim.api.nvim_win_get_cursor(0))
      local last = item.range.end_col or item.range.end_.col
      require('ingle.suggest').take({
        client = assert(vim.lsp.get_client_by_id(item.client_id)),
        buf = vim.api.nvim_get_current_buf(),
        row = item.range.start_row or start.row,
        col = item.range.start_col or start.col,
        least = 0,
        tail = line:sub(col + 1),
        items = { { text = item.insert_text, over = line:sub(col + 1, last), command = item.command } },
        index = 1,
        invoked = true,
      }, part)
    end,
  })
end

return M
