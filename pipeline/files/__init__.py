"""Files that are whole or not there, and where they lie.

In: values, records, text; the working directory.
Out: files written in one step, records read back and checked, errors that name file and line.
Door: `whole`, `record`, `yaml_file`, `json_schema`, `json_lines`, `cache_folder`, `workspace`
Never: torch, an engine, what the files are about.
"""
