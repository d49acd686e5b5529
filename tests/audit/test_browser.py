"""The page of the worklist in headless Chromium: opened from the disk, sorted, filtered, its pictures shown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from monai_iel.audit.case import REASONS, CaseScores, Finding
from monai_iel.audit.page import PageCase, write_page
from monai_iel.audit.pictures import CasePicture
from monai_iel.report import compact_uri

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium, of the extra dev")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs chromium and chromedriver: scripts/setup_browser.sh, or the system's packages",
)

HOSTILE = '</script ><script>document.title="obeyed"</script><img src=x onerror="document.title=1">'
MANY = 1000
_SECONDS = 3.0  # for 1,000 cases
_FLAGS = """
--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --window-size=1300,1000
"""

Driver = Any


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with webdriver.Chrome(options=options, service=Service(DRIVER)) as driver:
        yield driver


def picture(number: int, size: int) -> str:
    """A soft blob with some noise, as anatomy has."""
    axis = np.linspace(-1, 1, size)
    grey = 200 * np.exp(-3 * (axis[:, None] ** 2 + (axis + 0.002 * number) ** 2))
    grey += np.random.default_rng(number).normal(0, 4, (size, size))
    coarse = grey.clip(0, 255).astype(np.uint8)
    return compact_uri(np.stack([coarse] * 3, axis=-1).repeat(4, axis=0).repeat(4, axis=1))


def finding(reason: str, number: int) -> Finding:
    text = f"nucleus: {reason} near ({number}, 2, 3) mm, {number} mm^3"
    return Finding(reason, "nucleus", text, 1.0 + number, 2.0, None, (1.0, 2.0, 3.0), (1, 2, 3))


def cases(number: int, pictures: list[str]) -> Iterator[PageCase]:
    """Dice and suspicion in different orders; the reasons in turn, every seventh case without any."""
    for i in range(number):
        found = () if i % 7 == 6 else tuple(finding(REASONS[i % 7], i) for _ in range(3))
        dice = None if i == 3 else round((i * 37 % number) / number, 4)
        measures = {"dice": dice, "expected_dice": 0.9, "self_confidence": 0.8, "softmin": 0.7, "outline_mm": 0.1 * i}
        name = HOSTILE if i == 2 else f"case {i}"
        scores = CaseScores(name, 1 - i / number, {**measures, "disputed": 0.2}, tuple(np.linspace(0.2, 1, 30)), found)
        shown = [pictures[(3 * i + j) % len(pictures)] for j in range(3)] if pictures else []
        yield PageCase(i + 1, scores, tuple(CasePicture(uri, f"slice {j}") for j, uri in enumerate(shown)))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with 1,000 cases, each with three small pictures."""
    folder = tmp_path_factory.mktemp("page")
    pictures = [picture(number, 16) for number in range(8)]
    return write_page(folder, cases(MANY, pictures), details={"folds": 3}, title="Audit").as_uri()


@pytest.fixture
def page(driver: Driver, address: str) -> Driver:
    driver.get_log("performance"), driver.get_log("browser")
    driver.get(address)
    return driver


def shown(page: Driver) -> list[str]:
    """Names of the cases that the table shows, in its order."""
    script = """return [...document.querySelectorAll("#cases > tbody > tr.case")].filter((row) => row.checkVisibility())
    .map((row) => row.querySelector("th").textContent)"""
    return page.execute_script(script)


def column(page: Driver, number: int) -> list[str]:
    script = """return [...document.querySelectorAll("#cases > tbody > tr.case")]
    .map((row) => row.cells[arguments[0]].textContent)"""
    return page.execute_script(script, number)


def heading(page: Driver, name: str) -> tuple[Any, int, Callable[[], str]]:
    """The button of a column, its number, and what is told of its order."""
    cells = page.find_elements(By.CSS_SELECTOR, "#cases > thead th")
    number = next(i for i, cell in enumerate(cells) if cell.text.strip().startswith(name))
    return cells[number].find_element(By.TAG_NAME, "button"), number, lambda: cells[number].get_attribute("aria-sort")


def requested(page: Driver) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # Chromium begins with a page of its own (chrome:), and may still be at it.
    return [address for address in sent if not address.startswith(("data:", "chrome:"))]


def test_a_page_of_a_thousand_cases_opens_from_the_disk_and_asks_for_nothing_else(page, address):
    assert page.execute_script("return document.documentElement.dataset.ready") == "true"
    assert len(shown(page)) == MANY
    page.find_element(By.CSS_SELECTOR, "tr.case button").click()
    assert requested(page) == [address]
    assert page.get_log("browser") == []  # nor does its own policy forbid something of it


def test_the_list_is_sorted_by_any_column_with_the_worst_first(page):
    button, number, order = heading(page, "Dice")
    button.click()
    values = column(page, number)
    assert values[-1] == "–"  # no number is last, either way
    assert [float(v) for v in values[:-1]] == sorted(float(v) for v in values[:-1])
    assert order() == "ascending"
    button.click()
    values = column(page, number)
    assert values[-1] == "–"
    assert [float(v) for v in values[:-1]] == sorted((float(v) for v in values[:-1]), reverse=True)
    assert (order(), heading(page, "#")[2]()) == ("descending", "none")
    button, number, order = heading(page, "suspicion")
    button.click()
    assert order() == "descending"
    assert column(page, 0) == [str(i + 1) for i in range(MANY)]


def test_names_are_sorted_as_people_count_and_from_the_keyboard(page):
    button, _, order = heading(page, "case")
    button.send_keys(Keys.ENTER)
    assert order() == "ascending"
    assert shown(page)[1:5] == ["case 0", "case 1", "case 3", "case 4"]
    button.send_keys(Keys.SPACE)
    assert order() == "descending"
    assert shown(page)[0] == "case 999"


def test_cases_are_filtered_by_reason_and_by_words(page):
    by_reason = {b.text.rpartition(" ")[0]: b for b in page.find_elements(By.CSS_SELECTOR, "button.tag")}
    assert list(by_reason) == [*REASONS, "no finding"]
    button = by_reason["class swapped"]
    button.click()
    wanted = [HOSTILE if i == 2 else f"case {i}" for i in range(MANY) if i % 7 == REASONS.index("class swapped")]
    assert shown(page) == wanted
    assert button.text == f"class swapped {len(wanted)}"
    assert button.get_attribute("aria-pressed") == "true"
    by_reason["no finding"].click()
    assert len(shown(page)) == len(wanted) + MANY // 7  # either
    by_reason["no finding"].click()
    search = page.find_element(By.ID, "search")
    search.send_keys("SWAPPED 303")
    assert shown(page) == ["case 303"]
    assert page.find_element(By.ID, "shown").text == "1 shown"
    search.send_keys(" nowhere")
    assert shown(page) == []
    assert page.find_element(By.ID, "none").is_displayed()
    search.clear()
    button.click()
    assert len(shown(page)) == MANY


def test_an_opened_case_shows_its_pictures_findings_and_slices(page):
    assert not page.find_elements(By.TAG_NAME, "img")
    row = page.find_elements(By.CSS_SELECTOR, "tr.case")[1]
    button = row.find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    detail = page.find_element(By.CSS_SELECTOR, "tr.case + tr.detail")
    images = detail.find_elements(By.TAG_NAME, "img")
    ready = "return Promise.all(arguments[0].map((image) => image.decode().then(() => image.naturalWidth)))"
    assert page.execute_script(ready, images) == [64, 64, 64]
    assert "nucleus: component surplus near (1, 2, 3) mm, 1 mm^3" in detail.text
    assert len(detail.find_elements(By.CSS_SELECTOR, "svg rect")) == 30
    assert len(detail.find_elements(By.CSS_SELECTOR, "svg rect.marked")) == 1
    heading(page, "Dice")[0].click()
    script = "return arguments[0].nextElementSibling === arguments[1]"
    assert page.execute_script(script, row, detail)  # what is open stays below its case
    page.execute_script("arguments[0].click()", row)
    assert not page.find_elements(By.TAG_NAME, "img")


def test_the_first_cases_are_opened_at_once_and_closed(page):
    page.find_element(By.ID, "open").click()
    assert len(page.find_elements(By.CSS_SELECTOR, "tr.detail")) == 20
    page.find_element(By.ID, "close").click()
    assert not page.find_elements(By.CSS_SELECTOR, "tr.detail")


def test_markup_in_the_data_is_shown_and_not_obeyed(page):
    page.find_elements(By.CSS_SELECTOR, "tr.case button")[2].click()
    assert shown(page)[2] == HOSTILE
    assert page.title == "Audit"
    assert len(page.find_elements(By.TAG_NAME, "img")) == 3


def test_a_narrow_window_has_room_for_the_page(page):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page.find_elements(By.CSS_SELECTOR, "tr.case button")[1].click()
        assert page.execute_script("return document.documentElement.scrollWidth") == 390
        assert page.find_element(By.CSS_SELECTOR, "tr.case td.text").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_a_thousand_cases_with_pictures_load_in_less_than_three_seconds(driver, tmp_path, capsys):
    """Three pictures of about 10 kB per case; the best of three loads, since others use this machine too."""
    pictures = [picture(number, 80) for number in range(60)]
    path = write_page(tmp_path, cases(MANY, pictures), details={}, title="Audit")
    script = "return performance.timing.loadEventEnd - performance.timing.navigationStart"
    loads = []
    for _ in range(3):
        driver.get(path.as_uri())
        assert driver.execute_script("return document.documentElement.dataset.ready") == "true"
        loads.append(driver.execute_script(script) / 1000)
    with capsys.disabled():
        print(f"\n{path.stat().st_size / 1e6:.1f} MB, loaded in {', '.join(f'{s:.2f}' for s in loads)} s")
    assert min(loads) < _SECONDS
