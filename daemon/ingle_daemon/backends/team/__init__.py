"""The team's own engine (`[engine] url`): vLLM, llama-server, Ollama, or any other server of OpenAI's HTTP shape."""
