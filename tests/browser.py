"""Opens TensorBoard in Chromium, and reads the text and the images that are visible."""

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
TIMEOUT = 60  # seconds

# TensorBoard consists of web components with shadow trees, and the projector is a page in a frame.
WALK = """
function* nodes(node) {
  if (["SCRIPT", "STYLE", "TEMPLATE"].includes(node.nodeName)) return;
  yield node;
  if (node.shadowRoot) yield* nodes(node.shadowRoot);
  if (node.contentDocument) yield* nodes(node.contentDocument);
  for (const child of node.childNodes) yield* nodes(child);
}
"""
# The selected item of a menu is the value of an input field.
TEXT = """
const texts = [];
for (const node of nodes(document)) {
  const text = (node.nodeType === Node.TEXT_NODE ? node.data : node.nodeName === "INPUT" ? node.value : "").trim();
  const holder = node.nodeName === "INPUT" ? node : node.parentElement || node.parentNode?.host;
  if (text && holder.checkVisibility()) texts.push(text);
}
return texts.join("\\n");
"""
# An image has a natural size once it is loaded. A canvas always has a size.
IMAGES = """
const images = [];
for (const node of nodes(document)) {
  if (!["IMG", "CANVAS"].includes(node.nodeName) || !node.checkVisibility()) continue;
  const [width, height] = [node.naturalWidth || node.width, node.naturalHeight || node.height];
  if (node.nodeName === "CANVAS" ? width * height : node.complete && node.naturalWidth) {
    images.push([node.nodeName, width, height]);
  }
}
return images;
"""


def missing_programs() -> str:
    """Returns the names of the programs that are not installed; empty if all are installed."""
    return " and ".join(name for name, path in PROGRAMS.items() if not path)


needs_browser = pytest.mark.skipif(bool(missing_programs()), reason=f"{missing_programs()} not installed")


def chromium():
    """Returns a headless browser. Sets the paths of both programs, so that Selenium does not download others."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS["chromium"]
    for option in OPTIONS:
        options.add_argument(option)
    return webdriver.Chrome(options=options, service=Service(PROGRAMS["chromedriver"]))


def wait(subject, condition, failure_text) -> None:
    """Waits until `condition(subject)` is true; at the timeout, fails the test with the text of `failure_text()`."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        WebDriverWait(subject, TIMEOUT, poll_frequency=0.1).until(condition)
    except TimeoutException:
        pytest.fail(failure_text())


def wait_until_served(url: str) -> None:
    """Waits until TensorBoard lists runs; the list is empty at first."""

    def is_served(url: str) -> bool:
        try:
            with urllib.request.urlopen(url + "data/runs", timeout=TIMEOUT) as response:
                return bool(json.load(response))
        except (urllib.error.URLError, ConnectionError):
            return False

    wait(url, is_served, lambda: f"TensorBoard lists no runs at {url}")


def deep_text(driver) -> str:
    """Returns all visible text, with one line per text node, including shadow trees and frames."""
    return driver.execute_script(WALK + TEXT)


def deep_images(driver) -> list[tuple[str, int, int]]:
    """Returns element name, width and height of each loaded image and each canvas."""
    return [tuple(image) for image in driver.execute_script(WALK + IMAGES)]


def open_page(driver, url: str, texts) -> None:
    """Opens a page and waits until all texts are visible. Line breaks in a text separate text nodes."""
    driver.get("about:blank")  # Without this, a change after the # would not reload the page.
    driver.get(url)

    def missing_texts(driver=driver) -> list[str]:
        visible = deep_text(driver)
        return [text for text in texts if text not in visible]

    wait(driver, lambda driver: not missing_texts(driver), lambda: f"no {missing_texts()} in:\n{deep_text(driver)}")


def wait_for_image(driver, *image) -> None:
    """Waits until an image or a canvas is loaded, given as ("IMG", width, height)."""
    wait(driver, lambda driver: image in deep_images(driver), lambda: f"no {image} in {deep_images(driver)}")
