"""A browser that looks at TensorBoard as a person does, and says what it sees."""

import json
import shutil
import urllib.error
import urllib.request

import pytest

PROGRAMS = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1000",
)
SECONDS = 60  # After that, what is not to be seen will not come.

# TensorBoard is made of web components, whose insides are in shadow trees, and the projector is a page in a frame.
WALK = """
function* nodes(node) {
  if (["SCRIPT", "STYLE", "TEMPLATE"].includes(node.nodeName)) return;
  yield node;
  if (node.shadowRoot) yield* nodes(node.shadowRoot);
  if (node.contentDocument) yield* nodes(node.contentDocument);
  for (const child of node.childNodes) yield* nodes(child);
}
"""
# What is chosen of a menu stands in a field.
TEXT = """
const seen = [];
for (const node of nodes(document)) {
  const text = (node.nodeType === Node.TEXT_NODE ? node.data : node.nodeName === "INPUT" ? node.value : "").trim();
  const holder = node.nodeName === "INPUT" ? node : node.parentElement || node.parentNode?.host;
  if (text && holder.checkVisibility()) seen.push(text);
}
return seen.join("\\n");
"""
# A picture is loaded once it has a size of its own; a canvas has one as soon as it is there.
PICTURES = """
const seen = [];
for (const node of nodes(document)) {
  if (!["IMG", "CANVAS"].includes(node.nodeName) || !node.checkVisibility()) continue;
  const [width, height] = [node.naturalWidth || node.width, node.naturalHeight || node.height];
  if (node.nodeName === "CANVAS" ? width * height : node.complete && node.naturalWidth) {
    seen.push([node.nodeName, width, height]);
  }
}
return seen;
"""


def missing() -> str:
    """The programs that are not there, or nothing."""
    return " and ".join(name for name, path in PROGRAMS.items() if not path)


needs_browser = pytest.mark.skipif(
    bool(missing()), reason=f"{missing()} not installed: nobody looks at TensorBoard's tabs"
)


def chromium():
    """A browser without a window. Both programs are named, so that Selenium does not look for others to download."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"]
    for option in OPTIONS:
        options.add_argument(option)
    return webdriver.Chrome(options=options, service=Service(PROGRAMS["chromedriver"]))


def wait(subject, condition, otherwise) -> None:
    """Until the condition holds of the subject; else the test fails with what `otherwise` says."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        WebDriverWait(subject, SECONDS, poll_frequency=0.1).until(condition)
    except TimeoutException:
        pytest.fail(otherwise())


def wait_until_served(url: str) -> None:
    """Until TensorBoard answers with runs: it answers before it has found any."""

    def is_served(url: str) -> bool:
        try:
            with urllib.request.urlopen(url + "data/runs", timeout=SECONDS) as response:
                return bool(json.load(response))
        except (urllib.error.URLError, ConnectionError):
            return False

    wait(url, is_served, lambda: f"TensorBoard does not answer with runs at {url}")


def deep_text(driver) -> str:
    """All text that is shown, one piece a line, through shadow trees and frames."""
    return driver.execute_script(WALK + TEXT)


def deep_pictures(driver) -> list[tuple[str, int, int]]:
    """Element, width and height of every picture that is loaded, and of every canvas."""
    return [tuple(found) for found in driver.execute_script(WALK + PICTURES)]


def look(driver, url: str, words) -> None:
    """Opens a page and waits until all these words are to be seen; with a line break between pieces of text."""
    driver.get("about:blank")  # A change behind the # alone would not load the page anew.
    driver.get(url)

    def unseen(driver=driver) -> list[str]:
        text = deep_text(driver)
        return [word for word in words if word not in text]

    wait(driver, lambda driver: not unseen(driver), lambda: f"not seen: {unseen()} in:\n{deep_text(driver)}")


def see_picture(driver, *picture) -> None:
    """Waits until a picture (or canvas) is loaded: ("IMG", width, height)."""
    wait(driver, lambda driver: picture in deep_pictures(driver), lambda: f"no {picture} in {deep_pictures(driver)}")
