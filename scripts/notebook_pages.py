"""Pages of the documentation out of the notebooks in examples/: a hook of MkDocs."""

from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def notebook_page(path: Path) -> str:
    """Return a notebook's texts and code as Markdown."""
    cells = nbformat.read(path, as_version=4).cells
    told = f"*Run it yourself: `examples/{path.name}`, with `pip install '.[notebook]'` and a notebook server.*"
    head, *rest = [one.source if one.cell_type == "markdown" else f"```python\n{one.source}\n```" for one in cells]
    return "\n\n".join([head, told, *rest]) + "\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook_page(path)))
    return files
