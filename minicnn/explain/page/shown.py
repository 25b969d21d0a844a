"""The page as a value that a notebook shows in its cell."""

import base64
import html

HEIGHT = 720  # pixels; the page scrolls inside
LONGEST_ADDRESS = 2**21  # characters: of a longer one Chromium shows nothing


class Page(str):
    """The text of an interactive page, which a notebook shows; otherwise it is a string."""

    def _repr_html_(self) -> str:
        # A frame of its own, so that the page's style and scripts do not meet the notebook's. A
        # data: address has a place for the page's own addresses (#conv2d/…), which srcdoc lacks.
        address = "data:text/html;charset=utf-8;base64,"
        address += base64.b64encode(self.encode()).decode("ascii")
        source = f'src="{address}"'
        if len(address) > LONGEST_ADDRESS:
            source = f'srcdoc="{html.escape(self)}"'
        style = f"width:100%;height:{HEIGHT}px;border:0"
        title = self.partition("<title>")[2].partition("</title>")[0]
        # A notebook that is not trusted drops the frame and shows the text in it.
        instead = "Run the cell to see the page of the model."
        return f'<iframe title="{title}" style="{style}" {source}>{instead}</iframe>'

    def __repr__(self) -> str:
        return f"<page of {len(self):,} characters>"
