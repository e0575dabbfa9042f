--- The one ingle-lsp of this Neovim: found, started, attached to buffers, started again when it dies.
--- Knows nothing of what it is asked.
local M = {}

local api, lsp = vim.api, vim.lsp

M.NAME = 'ingle'

local MOST_RESTARTS = 4
local WITHIN = 3 * 60 * 1000
local INSTALL = '`uv tool install ingle` or `pipx install ingle` gets it; :checkhealth ingle tells more.'

---@class ingle.State
---@field on boolean whether completions are on, everywhere
---@field problem string what is wrong, for the user; '' when nothing is
---@field ends integer[] when the server ended unasked
---@field restarting boolean
local state = { on = true, problem = '', ends = {}, restarting = false }

--- The language and the name of each attached document, as the server was told.
---@type table<integer, { language: string, uri: string }>
local told = {}

local function announce()
  require('ingle.status').changed()
end

---@param problem string
local function trouble(problem)
  if problem ~= state.problem then
    state.problem = problem
    if problem ~= '' then
      vim.notify('ingle: ' .. problem, vim.log.levels.WARN)
    end
  end
  announce()
end

--- Where a language server may be, beside PATH: the active virtual environment, and where uv and pipx put programs.
---@return string[]
local function places()
  local data = vim.env.XDG_DATA_HOME or '~/.local/share'
  local found = vim.env.VIRTUAL_ENV and { vim.env.VIRTUAL_ENV .. '/bin' } or {}
  return vim.list_extend(found, {
    vim.env.UV_TOOL_BIN_DIR or '~/.local/bin',
    data .. '/uv/tools/ingle/bin',
    data .. '/pipx/venvs/ingle/bin',
    '~/.local/pipx/venvs/ingle/bin',
  })
end

--- The full path of one of ingle's programs.
---@param program 'ingle-lsp'|'ingle'
---@return string|nil
function M.find(program)
  local on_path = vim.fn.exepath(program)
  if on_path ~= '' then
    return on_path
  end
  for _, place in ipairs(places()) do
    local path = vim.fs.normalize(place .. '/' .. program)
    if vim.fn.executable(path) == 1 then
      return path
    end
  end
end

--- The command that starts the server; nil where there is none.
---@return string[]|nil
function M.command()
  local cmd = require('ingle.config').get().cmd
  if cmd then
    return vim.fn.executable(cmd[1]) == 1 and cmd or nil
  end
  local path = M.find('ingle-lsp')
  return path and { path, '--stdio' } or nil
end

--- The running client, initialized.
---@return vim.lsp.Client|nil
function M.running()
  return lsp.get_clients({ name = M.NAME })[1]
end

---@param buf integer
---@return vim.lsp.Client|nil
function M.of(buf)
  return lsp.get_clients({ name = M.NAME, bufnr = buf })[1]
end

--- What is wrong; '' when nothing is.
---@return string
function M.problem()
  return state.problem
end

--- Whether completions are wanted in a buffer: its own switch, then its file type.
---@param buf integer
---@return boolean
function M.wanted(buf)
  if not state.on then
    return false
  end
  local own = vim.b[buf].ingle_enabled
  if own ~= nil then
    return own ~= false and own ~= 0
  end
  local filetypes = require('ingle.config').get().filetypes
  local here = filetypes[vim.bo[buf].filetype]
  if here == nil then
    here = filetypes['*'] ~= false
  end
  return here
end

---@param buf integer
---@return string|nil
local function root_of(buf)
  return vim.fs.root(buf, require('ingle.config').get().root_markers)
end

--- Tells the server of the workspace that a buffer is in, unless it knows it.
---@param client vim.lsp.Client
---@param buf integer
local function add_workspace(client, buf)
  local root = root_of(buf)
  if not root then
    return
  end
  local folder = { uri = vim.uri_from_fname(root), name = root }
  client.workspace_folders = client.workspace_folders or {}
  for _, known in ipairs(client.workspace_folders) do
    if known.uri == folder.uri then
      return
    end
  end
  table.insert(client.workspace_folders, folder)
  client:notify('workspace/didChangeWorkspaceFolders', { event = { added = { folder }, removed = {} } })
end

--- Runs one of the server's commands.
---@param name string
---@param arguments any[]|nil
---@param answer fun(err: lsp.ResponseError|nil, result: any)|nil
---@return boolean sent false where no server runs, or it does not know the command
function M.execute(name, arguments, answer)
  local client = M.running()
  local provider = client and client.server_capabilities.executeCommandProvider
  if not client or not provider or not vim.list_contains(provider.commands, name) then
    return false
  end
  return (
    client:request('workspace/executeCommand', { command = name, arguments = arguments or {} }, function(err, result)
      if answer then
        answer(err, result)
      elseif err then
        vim.notify('ingle: ' .. err.message, vim.log.levels.WARN)
      end
    end)
  )
end

--- The last ends are forgotten as time passes, so that only a server that keeps dying is given up.
---@param now integer
---@return boolean
local function keeps_dying(now)
  state.ends = vim.tbl_filter(function(at)
    return now - at < WITHIN
  end, state.ends)
  table.insert(state.ends, now)
  return #state.ends > MOST_RESTARTS
end

---@param code integer
---@param signal integer
local function ended(code, signal)
  if vim.v.exiting ~= vim.NIL then
    return
  end
  require('ingle.status').forget()
  if state.restarting then
    state.restarting = false
    return M.attach_all()
  end
  if keeps_dying(vim.uv.now()) then
    local how = signal ~= 0 and 'signal ' .. signal or 'exit code ' .. code
    return trouble(('ingle-lsp keeps ending (%s). `:Ingle log` shows why, `:Ingle restart` tries again.'):format(how))
  end
  M.attach_all()
end

local function began()
  trouble('')
  if not state.on then
    M.execute('ingle.disable')
  end
end

--- The server's own settings. An empty table would be sent as a list.
---@return table<string, any>
local function server_settings()
  local server = require('ingle.config').get().server
  return vim.tbl_isempty(server) and vim.empty_dict() or server
end

---@param cmd string[]
---@param root string|nil
---@return vim.lsp.ClientConfig
local function client_config(cmd, root)
  local native = require('ingle.native')
  local ingle = { status = true, shown = true, waitedMs = native.active() and native.WAITED_MS or 0 }
  return {
    name = M.NAME,
    cmd = cmd,
    root_dir = root,
    init_options = server_settings(),
    capabilities = vim.tbl_deep_extend('force', lsp.protocol.make_client_capabilities(), {
      textDocument = { inlineCompletion = { dynamicRegistration = false } },
      experimental = { ingle = ingle },
    }),
    handlers = require('ingle.status').handlers,
    on_init = began,
    on_attach = function(client, buf)
      add_workspace(client, buf)
      require('ingle.suggest').attached(buf)
    end,
    on_exit = vim.schedule_wrap(ended),
  }
end

--- Lets the server forget a buffer.
---@param buf integer
local function detach(buf)
  local client = M.of(buf)
  if client then
    lsp.buf_detach_client(buf, client.id)
    announce()
  end
end

--- Attaches the server to a buffer, and starts it if need be; a buffer that is no document any more is detached.
---@param buf integer
function M.attach(buf)
  if require('ingle.document').objection(buf) then
    return detach(buf)
  end
  if state.restarting or #state.ends > MOST_RESTARTS then
    return
  end
  local cmd = M.command()
  if not cmd then
    local looked_for = (require('ingle.config').get().cmd or { 'ingle-lsp' })[1]
    return trouble(('%s is not installed. %s'):format(looked_for, INSTALL))
  end
  local now, before = { language = vim.bo[buf].filetype, uri = vim.uri_from_bufnr(buf) }, told[buf]
  local client = M.of(buf)
  if client and not vim.deep_equal(before, now) then
    lsp.buf_detach_client(buf, client.id) -- attached anew, it says which language the document is in, and its name
    if before and before.uri ~= now.uri then
      client:notify('textDocument/didClose', { textDocument = { uri = before.uri } })
    end
  end
  told[buf] = now
  lsp.start(client_config(cmd, root_of(buf)), {
    bufnr = buf,
    reuse_client = function(other)
      return other.name == M.NAME and not other:is_stopped()
    end,
  })
  announce()
end

--- Attaches it to everything that is open.
function M.attach_all()
  for _, buf in ipairs(api.nvim_list_bufs()) do
    M.attach(buf)
  end
end

--- Ends the server and starts it anew. One that is ending already is waited for.
function M.restart()
  state.ends = {}
  local clients = lsp.get_clients({ name = M.NAME, _uninitialized = true })
  if #clients == 0 then
    return M.attach_all()
  end
  state.restarting = true
  for _, client in ipairs(clients) do
    client:stop(true)
  end
end

--- Switches completions.
---@param where 'here'|'everywhere'
---@param on boolean|nil nil: to what it was not
function M.switch(where, on)
  local buf = api.nvim_get_current_buf()
  if where == 'here' then
    vim.b[buf].ingle_enabled = on == nil and not M.wanted(buf) or on == true
  else
    state.on = on == nil and not state.on or on == true
    M.execute(state.on and 'ingle.enable' or 'ingle.disable')
  end
  require('ingle.suggest').switched()
  announce()
end

--- Whether completions are on, everywhere.
---@return boolean
function M.on()
  return state.on
end

--- Tells the server what everybody's diagnostics of a buffer are.
---@param buf integer
local function tell_diagnostics(buf)
  local client = api.nvim_buf_is_loaded(buf) and M.of(buf)
  if client then
    client:notify('ingle/diagnostics', {
      uri = vim.uri_from_bufnr(buf),
      diagnostics = lsp.diagnostic.from(vim.diagnostic.get(buf)),
    })
  end
end

--- Follows buffers as they are opened, named and given a type, and what is wrong with them.
function M.watch()
  state.on = require('ingle.config').get().enabled
  local client = M.running()
  if client then
    client:notify('workspace/didChangeConfiguration', { settings = { ingle = server_settings() } })
  end
  local group = api.nvim_create_augroup('ingle.client', {})
  api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile', 'BufFilePost', 'FileType' }, {
    group = group,
    callback = vim.schedule_wrap(function(event)
      if api.nvim_buf_is_valid(event.buf) then
        M.attach(event.buf)
      end
    end),
  })
  api.nvim_create_autocmd('DiagnosticChanged', {
    group = group,
    callback = function(event)
      tell_diagnostics(event.buf)
    end,
  })
  api.nvim_create_autocmd('BufUnload', {
    group = group,
    callback = function(event)
      told[event.buf] = nil
    end,
  })
  M.attach_all()
end

return M
