-- A user's configuration, as small as it can be: the status line. The plugin is on the runtime path already.
vim.o.statusline = "%{%v:lua.require'ingle'.statusline()%} line %l"
vim.o.laststatus = 2
