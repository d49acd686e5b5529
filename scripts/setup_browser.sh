#!/usr/bin/env bash
# Installs Chromium and its driver as packages of the system, for the tests that drive the audit's page in a browser.
# Only as root, and only with apt; elsewhere it says so and ends well, since these tests are then skipped.
set -euo pipefail

if command -v chromium > /dev/null && command -v chromedriver > /dev/null; then
    exit 0
fi
skipped="the tests in tests/audit/test_browser.py are skipped"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    echo "no chromium and chromedriver, and no root with apt-get to install them: $skipped" >&2
    exit 0
fi
echo "installing chromium and chromium-driver"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium chromium-driver > /dev/null \
    || echo "chromium and chromium-driver could not be installed: $skipped" >&2
