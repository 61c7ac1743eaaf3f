// A page that waited for its user comes back with the forms that it had. Django may have another token by
// now, as where its session ended meanwhile; so they get the one that there is.
document.addEventListener('curfew:resume', async () => {
  const answer = await fetch('/token')
  if (!answer.ok) return // the old one may still do
  const {token} = await answer.json()
  for (const field of document.getElementsByName('csrfmiddlewaretoken')) field.value = token
})
