// The parts of the page that need JavaScript: dialogs, tokens, relative times. Only
// the server makes markup: after a change, the script reads the page again and
// replaces its regions. So the script never turns text into HTML.

const root = document.documentElement
const T = JSON.parse(document.body.dataset.texts)
const $ = id => document.getElementById(id)

// say sets the text of a node and replaces each {name} by its value. The <bdi> keeps
// a value from changing the direction of the text around it.
function say(node, text, values = {}) {
	node.replaceChildren(...text.split(/\{(\w+)\}/).map((part, i) => {
		if (i % 2 === 0) return part
		const bdi = document.createElement('bdi')
		bdi.append(values?.[part] ?? '')
		return bdi
	}))
}

function inform(text, values, kind = 'good') {
	$('status').className = 'notice ' + kind
	say($('status'), text, values)
}

const format = style => new Intl.DateTimeFormat(root.lang, {dateStyle: style, timeStyle: 'short'})
const brief = format('medium'), full = format('full')
const relative = new Intl.RelativeTimeFormat(root.lang, {numeric: 'auto'})
const units = [['year', 31557600], ['month', 2629800], ['week', 604800], ['day', 86400], ['hour', 3600], ['minute', 60]]

function formatTimes() {
	for (const time of document.querySelectorAll('time')) {
		const at = new Date(time.dateTime), seconds = (at - Date.now()) / 1000
		const [unit, length] = units.find(([, n]) => Math.abs(seconds) >= n) ?? ['second', Infinity]
		time.title = full.format(at)
		time.textContent = 'exact' in time.dataset ? brief.format(at) : relative.format(Math.round(seconds / length), unit)
	}
}

// call returns the API's response, or throws its problem.
async function call(method, path, body, headers) {
	let response, answer = {}
	try {
		response = await fetch(path, {
			method, body: JSON.stringify(body), headers: {'Content-Type': 'application/json', ...headers},
			signal: AbortSignal.timeout(30000), redirect: 'manual', // a redirect leads to the sign-in page
		})
		const text = await response.text()
		if (response.headers.get('Content-Type')?.includes('json')) answer = JSON.parse(text)
	} catch {
		throw {code: 'network'}
	}
	if (response.ok) return answer
	throw {code: [0, 401].includes(response.status) ? 'unauthorized' : 'other', ...answer, seconds: response.headers.get('Retry-After')}
}

// read loads a document without running its scripts.
const read = address => new Promise((resolve, reject) => {
	const request = new XMLHttpRequest()
	request.open('GET', address)
	request.responseType = 'document'
	request.timeout = 30000
	request.onload = () => request.response?.getElementById('keys') ? resolve(request.response) : reject()
	request.onerror = request.ontimeout = reject
	request.send()
})

// pageAddress returns the page's address without the parameters that apply once.
function pageAddress() {
	const query = new URLSearchParams(location.search)
	query.delete('done')
	query.delete('revoke')
	return './' + (query.size ? '?' + query : '')
}

let turn = 0

// refresh replaces the regions of the page. It keeps the focus, or moves it to the
// nearest element.
async function refresh() {
	const mine = ++turn
	const regions = () => document.querySelectorAll('[data-live]')
	for (const region of regions()) region.ariaBusy = 'true'
	try {
		const fresh = await read(pageAddress())
		if (mine !== turn) return
		const held = document.activeElement, row = held.closest('tr')?.dataset.id, open = $('ended')?.open
		const chosen = new Set(scopes())
		for (const old of regions()) {
			const next = fresh.getElementById(old.id)
			if (next) old.replaceWith(document.adoptNode(next))
		}
		if (open && $('ended')) $('ended').open = true
		for (const box of document.querySelectorAll('#scopes input')) box.checked = chosen.has(box.value)
		formatTimes()
		if (held.isConnected) return
		const again = document.querySelector(`tr[data-id="${row}"] [data-do=${held.dataset.do}]`) ?? $(held.id || 'keys-title')
		;(again ?? $('keys-title')).focus()
	} catch {
		if (mine !== turn) return
		for (const region of regions()) region.ariaBusy = null
		inform(T.error_stale, {}, 'bad')
	}
}

const scopes = () => Array.from(document.querySelectorAll('#scopes :checked'), box => box.value)

// Tokens.

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

// randomDigits uses six bits of each byte and skips values without a digit. Taking
// them modulo 62 would favour some digits.
function randomDigits(n) {
	let digits = ''
	while (digits.length < n) {
		const [byte] = crypto.getRandomValues(new Uint8Array(1))
		digits += alphabet[byte & 63] ?? ''
	}
	return digits
}

// checksum returns the CRC-32 (IEEE) in six digits.
function checksum(text) {
	let crc = -1
	for (let i = 0; i < text.length; i++) {
		crc ^= text.charCodeAt(i)
		for (let bit = 0; bit < 8; bit++) crc = crc >>> 1 ^ (crc & 1 ? 0xEDB88320 : 0)
	}
	let digits = ''
	for (let n = ~crc >>> 0; digits.length < 6; n = Math.floor(n / 62)) digits = alphabet[n % 62] + digits
	return digits
}

// newAttempt returns what is sent unchanged in each retry of a creation. Without
// crypto.subtle, as on a page without HTTPS, and if tokens have a MAC, the server
// makes the token.
async function newAttempt() {
	const made = {id: randomDigits(24)}, prefix = document.body.dataset.prefix
	if (!prefix || !crypto.subtle) return made
	const body = prefix + '_' + randomDigits(30)
	made.token = body + checksum(body)
	const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(made.token)))
	made.sent = {
		hint: body.slice(0, prefix.length + 5),
		digest: Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join(''),
	}
	return made
}

let safe = true // false while a token is shown that was not copied
let then        // continues when the customer discards the token

function reveal(token, text, name) {
	safe = false
	say($('issued-title'), text, {name})
	$('token').textContent = token
	$('copied').textContent = ''
	$('issued').hidden = false
	$('issued-title').focus()
}

function forget() {
	safe = true
	$('token').textContent = ''
	$('issued').hidden = true
}

// confirmDiscard calls next. If a token was not copied, it first asks whether to discard it.
function confirmDiscard(next) {
	if (safe) return next()
	then = next
	open('leave')
}

function copied() {
	safe = true
	$('copied').textContent = T.say_copied
}

$('copy').addEventListener('click', async () => {
	try {
		await navigator.clipboard.writeText($('token').textContent)
		copied()
	} catch {
		$('token').focus()
		getSelection().selectAllChildren($('token'))
		$('copied').textContent = T.say_selected
	}
})
$('token').addEventListener('copy', copied)
$('dismiss').addEventListener('click', () => confirmDiscard(() => {
	forget()
	$('keys-title').focus()
}))
addEventListener('beforeunload', event => {
	if (!safe || document.querySelector('[data-busy]')) event.preventDefault()
})
addEventListener('pagehide', forget) // the browser may keep the page for its Back button
addEventListener('pageshow', event => event.persisted && refresh())

// Dialogs.

let key     // of the open dialog
let attempt // to create a key, until its response has arrived

function open(id) {
	const dialog = $(id), form = dialog.querySelector('form'), fields = form.elements
	form.reset()
	showProblem(form)
	const expires = key?.expires ? brief.format(new Date(key.expires)) : fields.expiry?.querySelector('[value=never]').text
	for (const node of dialog.querySelectorAll('[data-say]')) say(node, node.dataset.say, {...key, expires})
	if (fields.expiry) updateDateField(fields)
	if (id === 'create') attempt = null
	if (id === 'edit') {
		fields.name.value = key.name
		fields.disabled.checked = 'disabled' in key
	}
	dialog.showModal()
}

// showProblem shows a problem in the dialog and focuses its field.
function showProblem(form, problem) {
	const {name, date, expiry, scope, reason} = form.elements
	const field = {
		invalid_name: name, invalid_expires_at: date?.required ? date : expiry, invalid_scopes: scope?.[0] ?? scope, invalid_reason: reason,
	}[problem?.code]
	for (const marked of form.querySelectorAll('[aria-invalid]')) marked.ariaInvalid = null
	say(form.querySelector('.error'), problem ? T['error_' + problem.code] ?? T.error_other : '', problem)
	if (!field) return
	field.ariaInvalid = 'true'
	field.focus()
}

// updateDateField shows the date field if the customer wants to choose a day.
function updateDateField({expiry, date}) {
	const today = new Date()
	date.required = expiry.value === 'date'
	date.closest('.date').hidden = !date.required
	date.min = new Date(today - today.getTimezoneOffset() * 60e3).toISOString().slice(0, 10)
	date.max = '9999-12-30'
}

// expiry returns the chosen instant. A day ends in the customer's time zone.
function expiry({expiry: {value}, date}) {
	if (value === 'never') return null
	return (value === 'date' ? new Date(date.value + 'T23:59:59') : new Date(Date.now() + value * 86400e3)).toISOString()
}

// actions holds the action of each dialog.
const actions = {
	async create(form, fields) {
		const made = attempt ??= await newAttempt()
		const chosen = fields.expiry.value + fields.date.value
		if (made.chosen !== chosen) Object.assign(made, {chosen, until: expiry(fields)}) // a retry sends the same instant
		const sent = {name: fields.name.value, expires_at: made.until, scopes: scopes(), ...made.sent}
		try {
			const answer = await call('POST', 'api/keys', sent, {'Idempotency-Key': made.id})
			done(form, T.say_created, answer.key.name, made.token ?? answer.token)
		} catch (problem) {
			if (problem.code === 'duplicate_key') attempt = null
			if (problem.code !== 'idempotency_key_used' || !problem.key) throw problem
			key = problem.key
			done(form, '')
			open('lost')
		}
	},
	async edit(form, fields) {
		const sent = {}
		if (fields.name.value !== key.name) sent.name = fields.name.value
		if (fields.disabled.checked !== 'disabled' in key) sent.disabled = fields.disabled.checked
		if (fields.expiry.value) sent.expires_at = expiry(fields)
		if (!Object.keys(sent).length) return form.parentElement.close()
		const answer = await call('PATCH', 'api/keys/' + key.id, sent)
		done(form, T.say_saved, answer.key.name)
	},
	rotate: (form, fields) => rotate(form, +fields.grace.value),
	lost: form => rotate(form, 0), // the old token was lost
	async revoke(form, fields) {
		const {id, name} = key
		await call('POST', `api/keys/${id}/revoke`, {reason: fields.reason.value.trim()})
		done(form, T.say_revoked, name)
	},
	leave(form) {
		form.parentElement.close()
		forget()
		then()
	},
}

async function rotate(form, grace_seconds) {
	try {
		const answer = await call('POST', `api/keys/${key.id}/rotate`, {grace_seconds})
		done(form, answer.propagated ? T.say_rotated : T.say_rotated_late, answer.key.name, answer.token)
	} catch (problem) {
		throw problem.code === 'network' ? {code: 'rotate_lost'} : problem
	}
}

function done(form, text, name, token) {
	attempt = null
	form.parentElement.close()
	inform(token ? '' : text, {name})
	if (token) confirmDiscard(() => reveal(token, text, name)) // an earlier token may still be shown
	refresh()
}

// reportFailure shows the error of a closed dialog on the page. It refreshes the
// page, since a request without a response may have taken effect.
function reportFailure(form) {
	const error = form.querySelector('.error').textContent
	if (!error) return
	inform(error, {}, 'bad')
	refresh()
}

for (const form of document.forms) {
	const dialog = form.parentElement
	form.addEventListener('submit', async event => {
		event.preventDefault()
		if ('busy' in form.dataset) return
		form.dataset.busy = ''
		showProblem(form)
		try {
			await actions[dialog.id](form, form.elements)
		} catch (problem) {
			showProblem(form, problem)
			if (!dialog.open) reportFailure(form)
		} finally {
			delete form.dataset.busy
		}
	})
	form.elements.expiry?.addEventListener('change', () => updateDateField(form.elements))
	dialog.addEventListener('cancel', event => 'busy' in form.dataset && event.preventDefault())
	// Browsers close a dialog on repeated requests, even if 'cancel' is prevented.
	dialog.addEventListener('close', () => 'busy' in form.dataset ? dialog.showModal() : reportFailure(form))
}

addEventListener('click', event => {
	const button = event.target.closest('[data-do], [data-close]')
	if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return
	if ('close' in button.dataset) return 'busy' in button.form.dataset || button.closest('dialog').close()
	event.preventDefault()
	const row = button.closest('tr'), what = button.dataset.do
	const start = () => {
		key = row && {...row.dataset, name: row.querySelector('.name').textContent, expires: row.querySelector('.expires time')?.dateTime}
		const used = row?.querySelector('.used')
		// The hint and the last use identify the key among others of the same name.
		if (row) $(what).querySelector('.which')?.replaceChildren(
			row.querySelector('td code').cloneNode(true), ' · ' + used.dataset.label + ': ', ...used.cloneNode(true).childNodes)
		open(what)
	}
	what === 'create' || what === 'rotate' ? confirmDiscard(start) : start()
})

root.dataset.js = ''
formatTimes()
setInterval(formatTimes, 60000)
if (location.search) history.replaceState(null, '', pageAddress() + location.hash)
