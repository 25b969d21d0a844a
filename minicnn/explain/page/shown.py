"""The page as a value that a notebook shows in its cell."""

import base64

HEIGHT = 720  # pixels; the page scrolls inside


class Page(str):
    """The text of an interactive page, which a notebook shows; otherwise it is a string."""

    def _repr_html_(self) -> str:
        # A frame of its own, so that the page's style and scripts do not meet the notebook's. A
        # data: address has a place for the page's own addresses (#conv2d/…), which srcdoc lacks.
        address = base64.b64encode(self.encode()).decode("ascii")
        style = f"width:100%;height:{HEIGHT}px;border:0"
        source = f"data:text/html;charset=utf-8;base64,{address}"
        title = self.partition("<title>")[2].partition("</title>")[0]
        return f'<iframe title="{title}" style="{style}" src="{source}"></iframe>'

    def __repr__(self) -> str:
        return f"<page of {len(self):,} characters>"
