"""The language server: inline completion for any editor that speaks LSP 3.18. It knows no model."""
