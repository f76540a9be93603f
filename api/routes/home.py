"""What is at the root: a page for people, a greeting for everything else. Never a redirect: devices follow none."""

from typing import Final

from fastapi import APIRouter, Request, Response

GREETING: Final = "Hello, Sphinx!"
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>SmartSip Backend</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 15vh auto; padding: 0 1.5rem }
  a { color: #0b74c4 }
  code { background: #eaf2f9; padding: .1em .35em; border-radius: .3em }
</style>
<h1>SmartSip Backend</h1>
<p>The server runs. Photos and chats go in at <code>POST /v2/jobs</code>, and come back as a stream of events.</p>
<ul>
  <li><a href="docs">The API, to read and to try</a></li>
  <li><a href="health/ready">Is every part there?</a></li>
</ul>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_root(request: Request) -> Response:
    """Greet."""
    if "text/html" in request.headers.get("accept", ""):
        return Response(_PAGE, media_type="text/html", headers={"Vary": "Accept"})
    return Response(GREETING, media_type="text/plain", headers={"Vary": "Accept"})
