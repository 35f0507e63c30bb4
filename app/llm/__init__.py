"""The language model: prompts as files, one client, prices. The only importer of `anthropic`."""
