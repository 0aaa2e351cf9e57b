// Talk: without this file its form is sent as any other, with it by a WebSocket.

const section = document.querySelector(".talk")
const { socket: address, me } = section.dataset
const log = section.querySelector(".lines")
const list = log.querySelector("ol")
const pulse = section.querySelector(".pulse")
const people = section.querySelector(".people")
const newer = section.querySelector(".newer")
const form = section.querySelector("form")
const complaint = form.querySelector(".error:last-child")
const field = form.elements.text
// What was said and has not come back yet: it is sent again on a new connection.
const said = new Map()
let last = Number(section.dataset.after)
let failures = 0
let socket, timer

function connect() {
  clearTimeout(timer)
  socket = new WebSocket(`${address}?after=${last}`)
  socket.addEventListener("open", () => {
    failures = 0
    say("live", "Live")
    for (const [key, text] of said) socket.send(JSON.stringify({ key, text }))
  })
  socket.addEventListener("message", event => take(JSON.parse(event.data)))
  socket.addEventListener("close", () => {
    people.hidden = true
    say("lost", "Connection lost, trying again")
    timer = setTimeout(connect, Math.min(500 * 2 ** failures++, 10_000) * (0.5 + Math.random() / 2))
  })
}

function say(state, text) {
  if (pulse.dataset.state === state) return
  pulse.dataset.state = state
  pulse.textContent = text
}

function take(news) {
  if (news.people) greet(news.people)
  if (news.messages) write(news.messages.filter(message => message.id > last))
  if (news.refused) refuse(news)
}

function greet(names) {
  people.hidden = false
  people.querySelector("b").textContent = `${names.length} here:`
  people.querySelector("span").textContent = names.map(name => (name === me ? "you" : name)).join(", ")
}

function write(messages) {
  if (!messages.length) return
  const reading = log.scrollTop < -40 // it begins at its end, where this is 0
  for (const message of messages) {
    last = message.id
    said.delete(message.key)
    const days = list.querySelectorAll(".day")
    if (days[days.length - 1]?.textContent !== message.day) list.append(make(".a-day", { ".day": message.day }))
    const line = make(".a-message", { "b": message.author, "time": message.time, ".words": message.text })
    line.querySelector("time").dateTime = message.at
    line.classList.toggle("mine", message.author === me)
    list.append(line)
  }
  log.querySelector(".nothing").hidden = true
  if (!reading || messages.some(message => message.author === me)) log.scrollTop = 0
  else newer.hidden = false
}

function make(name, texts) {
  const item = section.querySelector(`template${name}`).content.firstElementChild.cloneNode(true)
  for (const [selector, text] of Object.entries(texts)) {
    const part = item.matches(selector) ? item : item.querySelector(selector)
    part.textContent = text
  }
  return item
}

function refuse({ refused, key }) {
  complaint.textContent = refused
  // Back into the field, unless the next one is being written there.
  if (!field.value && said.has(key)) field.value = said.get(key)
  said.delete(key)
}

function send(event) {
  event.preventDefault()
  const text = field.value.trim()
  complaint.textContent = ""
  if (!text) return
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), part => part.toString(36)).join("")
  said.set(key, text)
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ key, text }))
  field.value = ""
}

if (address) {
  form.addEventListener("submit", send)
  newer.addEventListener("click", () => {
    log.scrollTop = 0
    field.focus()
  })
  log.addEventListener("scroll", () => {
    if (log.scrollTop > -40) newer.hidden = true
  })
  addEventListener("online", () => socket.readyState === WebSocket.CLOSED && connect())
  connect()
}
