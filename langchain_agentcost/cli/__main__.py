"""Run the command line as `python -m langchain_agentcost.cli`."""

from langchain_agentcost.cli import main

main()
