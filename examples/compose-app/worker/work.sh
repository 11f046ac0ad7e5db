# Takes jobs out of the store, one after another. $STORE_URL comes from `links`; ends at once when told to.
trap 'echo stopped; exit' TERM
ask() { wget -qO- "$STORE_URL/cgi-bin/data/$1"; }
while true; do
    job=$(ask 'pop?jobs')
    if [ -n "$job" ]; then
        echo "$job"
        ask 'incr?written' >/dev/null
    else
        sleep "$IDLE_S" &
        wait
    fi
done
