"""The only door between YAML and Python: compose (Hydra), validate (constructors and pydantic), build."""
