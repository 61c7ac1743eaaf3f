// Lists the events of the stream. EventSource opens it again by itself after the server has ended it.
const state = document.getElementById('state')
const list = document.getElementById('changes')
const stream = new EventSource(state.dataset.stream)
stream.addEventListener('open', () => (state.textContent = 'Listening.'))
stream.addEventListener('error', () => (state.textContent = 'Not connected.'))
stream.addEventListener('message', event => {
  const {name, url} = JSON.parse(event.data)
  const link = Object.assign(document.createElement('a'), {href: url, textContent: name})
  const item = document.createElement('li')
  item.append(link, ` was changed at ${new Date().toLocaleTimeString()}`)
  list.prepend(item)
})
