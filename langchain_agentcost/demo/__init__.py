"""A support desk as a LangGraph application, on a real local model, metered: `langchain-agentcost demo`."""
