# Hands a function's result to the spanpipe extension, from a POSIX shell: source it, then
#
#     spanpipe_result REQUEST_ID JSON
#
# It never waits, never fails (its status is 0) and prints nothing, save one warning where there
# is no extension. See PROTOCOL.md: a line in the FIFO; where that is full, gone, not to be
# trusted, or the line is over 4096 bytes, a file `$SPANPIPE_DIR/REQUEST_ID`.

spanpipe_result() {
  _spanpipe_hand_over "${1-}" "${2-}" 2>/dev/null && return 0
  if [ "$?" = 3 ] && [ -z "${_spanpipe_warned-}" ]; then
    _spanpipe_warned=1
    printf 'spanpipe: warning: no extension: %s is not there, so results go nowhere\n' \
      "${SPANPIPE_DIR:-/tmp}/spanpipe-results.fifo" >&2
  fi
  return 0
}

# In a subshell, so that options and variables are its own. Status 3: no extension.
_spanpipe_hand_over() (
  set +eu
  LC_ALL=C # lengths are bytes, and a range of letters is ASCII's
  id=$1 json=${2:-null}
  case $id in '' | *[!A-Za-z0-9_-]*) exit 1 ;; esac
  [ "${#id}" -le 128 ] || exit 1
  newline='
'
  case $json in *"$newline"*) json=$(printf %s "$json" | tr '\n' ' ') ;; esac

  directory=${SPANPIPE_DIR:-/tmp}
  fifo=$directory/spanpipe-results.fifo
  [ -e "$fifo" ] || [ -L "$fifo" ] || exit 3
  line="{\"request_id\":\"$id\",\"payload\":$json}"
  if [ "${#line}" -lt 4096 ] && [ -O "$fifo" ]; then
    case $(ls -ld "$fifo") in
    prw-------[\ .]*)
      # Not `1<>`, which would wait where the pipe is full.
      printf '%s\n' "$line" | dd "of=$fifo" bs=4096 iflag=fullblock \
        oflag=nonblock,nofollow conv=notrunc,nocreat && exit 0
      ;;
    esac
  fi

  file=$directory/$id
  for path in "$file" "$file.part"; do
    if [ -e "$path" ] || [ -L "$path" ]; then exit 1; fi
  done
  umask 077
  set -C
  printf '{"payload":%s}' "$json" >"$file.part" && mv "$file.part" "$file" && exit 0
  rm -f "$file.part"
  exit 1
)
