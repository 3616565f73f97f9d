#!/bin/sh
# http://GUEST/cgi-bin/status: one "key value" per line, for tests and demos.
printf 'Content-Type: text/plain\r\n\r\n'
echo "hostname $(hostname)"
echo "addresses $(addresses)"
echo "source $(cat /run/cloud/source 2>/dev/null || echo none)"
echo "uptime $(cut -d ' ' -f 1 /proc/uptime)"
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
echo "user-data-exit $(cat /run/user-data.exit 2>/dev/null || echo none)"
for disk in /sys/block/[vs]d*; do
    [ -e "$disk" ] && echo "disk ${disk##*/} $(($(cat "$disk/size") * 512))"
done
echo "data $(($(stat -f -c '%b * %S' /data)))"
