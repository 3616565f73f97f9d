# Reads the small part of #cloud-config and of NoCloud's meta-data that the tiny guest understands (block YAML,
# lists also as [a, "b"]). Appends to files in `out`: hostname, keys, instance-id, runcmd, ignored.
# `kind` is user-data or meta-data.

function trim(s) { gsub(/^[ \t\r]+|[ \t\r]+$/, "", s); return s }

function scalar(s) {
    s = trim(s)
    if (s ~ /^"/) { sub(/^"/, "", s); sub(/"[^"]*$/, "", s); gsub(/\\"/, "\"", s); gsub(/\\\\/, "\\", s) }
    else if (s ~ /^'/) { sub(/^'/, "", s); sub(/'[^']*$/, "", s); gsub(/''/, "'", s) }
    else { sub(/[ \t]+#.*$/, "", s) }
    return s
}

# Splits [a, "b, c"] into items; returns how many.
function flow(s, items,    i, c, quote, word, n) {
    s = trim(s); sub(/^\[/, "", s); sub(/\][^]]*$/, "", s)
    for (i = 1; i <= length(s); i++) {
        c = substr(s, i, 1)
        if (quote == "\"" && c == "\\") { word = word c substr(s, ++i, 1); continue }
        if (quote != "") { if (c == quote) quote = "" }
        else if (c == "\"" || c == "'") quote = c
        else if (c == ",") { items[++n] = scalar(word); word = ""; continue }
        word = word c
    }
    if (trim(word) != "") items[++n] = scalar(word)
    return n
}

function shell(s) { gsub(/'/, "'\\''", s); return "'" s "'" }

function take(key, value,    items, n, i, line) {
    if (key == "runcmd") {
        if (value ~ /^\[/) {
            n = flow(value, items)
            for (i = 1; i <= n; i++) line = line (i > 1 ? " " : "") shell(items[i])
        } else line = scalar(value)
        command(line)
    }
    else if (key ~ /keys$/) print scalar(value) >> (out "/keys")
    else if (key ~ /hostname$/) print scalar(value) >> (out "/hostname")
    else print scalar(value) >> (out "/instance-id")
}

function command(line) {
    if (!started++) print "#!/bin/sh" > (out "/runcmd")
    print line > (out "/runcmd")
}

function ignored(key) { print key >> (out "/ignored") }

function known(key, depth) {
    if (key == "ssh_authorized_keys" || key == "ssh-authorized-keys") return kind == "user-data"
    if (depth > 0) return 0
    if (kind == "meta-data") return key ~ /^(local-hostname|hostname|public-keys|instance-id)$/
    return key == "hostname" || key == "runcmd"
}

NR == 1 && /^[ \t]*[{]/ { ignored(kind "-in-JSON"); exit }

# The lines of "- |": everything indented deeper than the dash.
literal {
    match($0, /^ */)
    if (trim($0) == "") { command(""); next }
    if (RLENGTH > literal_depth) {
        if (!literal_indent) literal_indent = RLENGTH
        command(substr($0, literal_indent + 1))
        next
    }
    literal = 0
}

/^[ \t\r]*(#|$)/ || /^(---|\.\.\.)/ { next }

{
    match($0, /^ */)
    depth = RLENGTH
    text = trim($0)
}

block != "" && (depth > block_depth || (depth == block_depth && text ~ /^-( |$)/)) {
    if (text ~ /^- *[|]/) {
        if (block == "runcmd") { literal = 1; literal_depth = depth; literal_indent = 0 }
        else ignored(block "-block-text")
    }
    else if (text ~ /^- *(>|-( |$))/) ignored(block "-item")
    else if (text ~ /^- /) take(block, trim(substr(text, 2)))
    else if (block == "public-keys" && text ~ /^[^ ]+: /) { sub(/^[^ ]+: */, "", text); take(block, text) }
    else ignored(block "-continuation")
    next
}

match(text, /^(- +)?[A-Za-z_-]+:( |$)/) {
    block = ""
    key = text
    sub(/^- +/, "", key)
    value = key
    sub(/:.*/, "", key)
    sub(/^[^:]*:/, "", value)
    value = trim(value)
    if (!known(key, depth)) {
        if (depth == 0 && kind == "user-data" && text !~ /^-/) ignored(key)
        next
    }
    if (value == "" || value ~ /^#/) { block = key; block_depth = depth }
    else if (value ~ /^\[/ && key ~ /(keys|runcmd)$/) {
        n = flow(value, list)
        for (i = 1; i <= n; i++) if (key == "runcmd") command(list[i]); else take(key, list[i])
    }
    else take(key, value)
}
