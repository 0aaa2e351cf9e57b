// Fresh ink: each sighting when it is written down, for as long as the page is looked at.

const section = document.querySelector("[data-feed]")
const list = section.querySelector("ol")
const pulse = section.querySelector(".pulse")
const shown = 3
let last = Number(section.dataset.after)
let source, timer

function listen() {
  clearTimeout(timer)
  source?.close()
  // When it connects again by itself, it says which one it got last.
  source = new EventSource(`${section.dataset.feed}?after=${last}`)
  source.addEventListener("open", () => say("live", "Live"))
  source.addEventListener("sighting", event => write(JSON.parse(event.data)))
  source.addEventListener("error", () => {
    say("lost", "Connection lost, trying again")
    // It gives up when a proxy answers that nobody is there.
    if (source.readyState === EventSource.CLOSED) timer = setTimeout(listen, 3000)
  })
}

function rest() {
  clearTimeout(timer)
  source.close()
}

function say(state, text) {
  if (pulse.dataset.state === state) return
  pulse.dataset.state = state
  pulse.textContent = text
}

function write(sighting) {
  if (sighting.id <= last) return
  last = sighting.id
  const line = section.querySelector("template").content.firstElementChild.cloneNode(true)
  const use = line.querySelector("use")
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${sighting.kind}`))
  const link = line.querySelector("a")
  link.href = sighting.page
  link.textContent = sighting.species
  const count = sighting.count.toLocaleString("en")
  line.querySelector(".count").textContent = sighting.count > 1 ? `× ${count}` : ""
  line.querySelector(".where").textContent = `${sighting.place}, ${sighting.observer}`
  line.className = `${sighting.kind} fresh`
  list.prepend(line)
  while (list.children.length > shown) list.lastElementChild.remove()
}

// A page in the background holds no connection: browsers have six for each site.
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()))
if (!document.hidden) listen()
