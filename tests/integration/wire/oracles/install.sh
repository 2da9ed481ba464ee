#!/bin/sh
# Installs the servers that the wire is held against, and the client it is measured beside, where
# that may be done without a question: Debian's packages, as root or by a sudo that asks for no
# password. What is missing in the end is named, and its tests are skipped; this never fails.

PATH="$PATH:/usr/sbin:/usr/local/sbin"
PROGRAMS="nghttpd:nghttp2-server nginx:nginx h2o:h2o node:nodejs h2load:nghttp2-client"
POLICY=/usr/sbin/policy-rc.d

missing() {
	for program in $PROGRAMS; do
		command -v "${program%%:*}" >/dev/null || echo "$program"
	done
}

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::http::Timeout=20 "$@"
}

# The tests start these servers themselves: none is to run as a service of this machine.
forbid_services() {
	[ -e "$POLICY" ] && return
	as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$POLICY && chmod 755 $POLICY"
	trap 'as_root rm -f "$POLICY"' EXIT
	trap 'exit 1' INT TERM
}

install_missing() {
	forbid_services
	apt update
	# One by one, so that one that cannot be had does not keep the others away.
	for program in $(missing); do
		apt install --yes --no-install-recommends "${program#*:}" >/dev/null
	done
}

[ -z "$(missing)" ] && exit 0
if ! command -v apt-get >/dev/null; then
	echo "HTTP/2 servers are installed by apt-get only, and there is none here." >&2
elif ! as_root true 2>/dev/null; then
	echo "HTTP/2 servers are installed as root only, or by a sudo without password." >&2
else
	install_missing
fi
for program in $(missing); do
	echo "Not installed: ${program%%:*} (Debian: ${program#*:}); what needs it is skipped." >&2
done
exit 0
