/* app/app.js: keeps the credential panel and the relative times of the page fresh. Without it the page works as it came. */
"use strict";

(() => {
        const EVERY_MSEC = 3000, GIVE_UP_MSEC = 2500;
        const UNITS = [[365 * 86400, "year"], [30 * 86400, "month"], [86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
        const panel = document.getElementById("panel"), news = document.getElementById("news");
        let isLost = false;

        /* In the words of add_relative() in page_html.c. */
        function relative(then, now) {
                const isPast = then <= now, sec = Math.floor(Math.abs(now - then) / 1000);

                if (sec < 5)
                        return "just now";
                const [size, name] = UNITS.find(([unit]) => sec >= unit);
                const n = Math.floor(sec / size);
                return `${isPast ? "" : "in "}${n} ${name}${n === 1 ? "" : "s"}${isPast ? " ago" : ""}`;
        }

        function freshenTimes() {
                for (const time of document.querySelectorAll("time")) {
                        const text = relative(Date.parse(time.dateTime), Date.now());

                        if (time.textContent !== text)
                                time.textContent = text;
                }
        }

        /* {secret: version in use} */
        function versions(root) {
                return Object.fromEntries([...root.querySelectorAll("tbody tr")].map(
                        row => [row.cells[0].textContent, row.cells[1].textContent]));
        }

        /* Screen readers are told what changed, not the whole table again. */
        function tell(before, after) {
                const changed = Object.keys(after).filter(name => before[name] !== after[name]);

                if (changed.length > 0)
                        news.textContent = `Just changed: ${changed.map(n => `${n}, version ${after[n]}`).join("; ")}.`;
        }

        async function refresh() {
                if (document.hidden)
                        return;
                try {
                        const answer = await fetch("/credentials", {signal: AbortSignal.timeout(GIVE_UP_MSEC), cache: "no-store"});

                        if (!answer.ok)
                                throw new Error(answer.status);
                        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
                        const before = versions(panel), after = versions(fresh);

                        panel.replaceChildren(...fresh.childNodes);
                        if (isLost)
                                news.textContent = "The service answers again.";
                        isLost = false;
                        tell(before, after);
                } catch {
                        if (!isLost)
                                news.textContent = "The service does not answer; the table above is the last that it sent.";
                        isLost = true;
                }
                freshenTimes();
        }

        document.addEventListener("visibilitychange", refresh);
        setInterval(refresh, EVERY_MSEC);
        setInterval(freshenTimes, 1000);
        freshenTimes();
})();
