--- `:checkhealth ingle`: what has to be there for completions to come, in the order in which they need it.
local M = {}

local health = vim.health

local function neovim()
  health.start('ingle: Neovim')
  health.ok('Neovim ' .. tostring(vim.version()))
  if require('ingle.config').get().native and not vim.lsp.inline_completion then
    health.warn('`native` needs Neovim 0.12; ingle draws by itself')
  end
end

---@return boolean found
local function server()
  health.start('ingle: language server')
  local client = require('ingle.client')
  local command = client.command()
  if not command then
    health.error('ingle-lsp is not installed', {
      '`uv tool install ingle` or `pipx install ingle` gets it.',
      "Where it is elsewhere: require('ingle').setup({ cmd = { '/path/to/ingle-lsp', '--stdio' } })",
    })
    return false
  end
  local version = vim.system({ command[1], '--version' }, { text = true, timeout = 10000 }):wait()
  if version.code ~= 0 then
    health.error(('%s does not run: %s'):format(command[1], vim.trim(version.stderr)))
    return false
  end
  health.ok(('%s: %s'):format(command[1], vim.trim(version.stdout)))
  local running = client.running()
  if not running then
    health.warn('it does not run', 'It starts with the first file that is opened. `:Ingle log` shows its errors.')
    return true
  end
  health.ok(('it runs, attached to %d buffers'):format(vim.tbl_count(running.attached_buffers)))
  if client.problem() ~= '' then
    health.warn(client.problem())
  end
  return true
end

--- What is wrong with the model, and what to do; nil where it answers, or will when it is asked.
---@param model { state: string, error: string|nil }
---@return string|nil problem
---@return string|nil advice
local function trouble_with(model)
  if model.state == 'none' then
    return 'there is no model to complete with', '`ingle model pull` in a terminal gets one.'
  elseif model.state == 'failed' then
    return 'the model cannot be loaded: ' .. (model.error or ''), '`ingle doctor` in a terminal tells more.'
  end
end

local function daemon()
  health.start('ingle: daemon and model')
  local program = require('ingle.client').find('ingle')
  if not program then
    return health.warn('the `ingle` program is not on PATH', '`:Ingle why` and `:Ingle model` need it.')
  end
  local function ask(...)
    return vim.system({ program, 'status', ... }, { text = true, timeout = 15000 }):wait()
  end
  local asked = ask()
  if asked.code ~= 0 then
    return health.warn(vim.trim(asked.stderr), 'The first completion starts it. `ingle model pull` gets a model.')
  end
  local read, told = pcall(vim.json.decode, ask('--json').stdout)
  local problem, advice = trouble_with(read and told.model or {})
  if problem then
    health.info(vim.trim(asked.stdout))
    health.warn(problem, advice)
  else
    health.ok(vim.trim(asked.stdout))
  end
  health.info('`ingle doctor` in a terminal looks at all that is outside the editor, and says what to do.')
end

local function keys()
  health.start('ingle: keys')
  for verb, key in vim.spairs(require('ingle.config').get().keys or {}) do
    local mapping = key and vim.fn.maparg(key, 'i', false, true) or {}
    if key and not vim.startswith(mapping.desc or '', 'ingle') then
      health.warn(('%s is mapped to something else, not to %s'):format(key, verb), {
        'Another plugin took it. Choose another key, or call ingle from its mapping: see `:help ingle-keys`.',
      })
    elseif key then
      health.ok(('%s: %s'):format(key, verb))
    end
  end
end

--- Called by Neovim.
function M.check()
  neovim()
  if server() then
    daemon()
  end
  keys()
end

return M
