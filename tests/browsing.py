"""Opens a page in a browser and says as JSON what is wrong with it; run by a Python with Playwright."""

import itertools
import json
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZES = {"wide": (1400, 1000), "phone": (390, 844)}
OUTSIDE = ("http:", "https:", "ws:")
# What is neither hidden by a filter nor in something that is.
SHOWN = """selector => [...document.querySelectorAll(selector)]
    .filter(one => !one.closest("[hidden]")).map(one => one.id || one.dataset.verdict)"""


def main(url: str, chromium: str, axe: str) -> None:
    found = {"violations": [], "overflowing": [], "requests": [], "errors": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for (name, (width, height)), scheme in itertools.product(SIZES.items(), ("light", "dark")):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.on("request", lambda one: found["requests"].append(one.url))
            page.on("console", lambda one: found["errors"].append(one.text))
            page.on("pageerror", lambda one: found["errors"].append(str(one)))
            page.goto(url)
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found["overflowing"].append(f"{name}, {scheme}")
            page.evaluate(Path(axe).read_text("utf-8"))
            violations = page.evaluate("axe.run().then(result => result.violations)")
            found["violations"] += [
                f"{name}, {scheme}: {one['impact']}: {one['id']}: {one['nodes'][0]['html']}"
                for one in violations
            ]
            context.close()
        found["requests"] = [one for one in found["requests"] if one.startswith(OUTSIDE)]
        found["filtered"] = filtered(browser.new_page(), url)
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(url)
        found["filters_without_scripts"] = page.locator("#filters").is_visible()
        found["figures_without_scripts"] = page.locator(".figure:visible").count()
        browser.close()
    print(json.dumps(found))


def filtered(page: Page, url: str) -> dict[str, object]:
    """What is shown at first, with a filter, at a link to what it hides, and after it is taken back."""
    page.goto(url)
    first = page.evaluate(SHOWN, ".figure")
    page.select_option("#filters [name=verdict]", "not supported")
    page.wait_for_timeout(100)
    seen = {
        "first": first,
        "figures": page.evaluate(SHOWN, ".figure"),
        "claims": page.evaluate(SHOWN, ".claim"),
        "marks": page.evaluate(SHOWN, ".cell"),
        "said": page.locator("#shown").inner_text(),
    }
    hidden = next(one for one in first if one not in seen["figures"])
    page.goto(f"{url}#{hidden}")
    page.wait_for_timeout(100)
    seen["linked"] = page.evaluate(SHOWN, ".figure")
    seen["where"] = page.evaluate(
        "id => document.getElementById(id).getBoundingClientRect().top", hidden
    )
    return seen


if __name__ == "__main__":
    main(*sys.argv[1:])
