"""What the language server offers, a module each. Here LSP's types end."""
