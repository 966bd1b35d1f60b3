// What the page says, in English and Russian. A text is looked up by its key; `%s` takes an argument.

const TEXTS = {
  en: {
    skip: "Skip to the content", views: "Views", live: "Live", past: "Past", system: "System", language: "Language",
    theme: "Theme", theme_auto: "System theme", theme_light: "Light", theme_dark: "Dark", sign_in: "Sign in", sign_out: "Sign out",
    live_calls: "Live calls", filter: "Filter", no_calls: "No call is up.", past_calls: "Past calls", text: "Words",
    number: "Number", label: "Label", since: "From", until: "To", search: "Search", more: "More", engines: "Engines",
    webhooks: "Webhooks", latency_hour: "Latency of the last hour", back: "Back", timeline: "Timeline",
    transcript: "Transcript", quality: "Quality and latency", token: "Token", cancel: "Cancel", connected: "Connected",
    connecting: "Connecting…", cut: "Connection lost, trying again…", refused: "This token is not known.",
    needs_token: "Sign in to see the calls.", hang_up: "Hang up", hang_up_sure: "Hang up this call?", pause: "Pause transcription of %s",
    resume: "Resume transcription of %s", up: "up", held: "on hold", paused: "transcription paused", ended: "ended",
    reason_bye: "hung up", reason_cancel: "cancelled", reason_hangup: "by an operator", reason_rtp_timeout: "no audio came any more",
    reason_signalling_lost: "signalling was lost", reason_failed: "failed", reason_drained: "the gateway was stopped", reason_gateway_stopped: "the gateway stopped",
    reason_stream_removed: "the stream was removed", call_live: "live", call_ended: "ended: %s", incomplete: "transcript incomplete", complete: "transcript complete",
    found: "Calls found: %s", nothing: "Nothing found.", store_fault: "The store cannot be read: %s", download: "Download %s",
    note_held: "%s is put on hold", note_resumed: "%s is back from hold", note_withheld: "Transcription of %s is paused",
    note_released: "Transcription of %s goes on", note_leg_added: "%s joins", note_leg_ended: "%s hangs up",
    note_degraded: "%s has no recogniser: %t", note_recovered: "%s has a recogniser again", note_dtmf: "%s presses %t",
    refined: "refined", unknown_party: "unknown", kind_received: "received", kind_concealed: "lost, filled", kind_pause: "sender paused",
    kind_comfort_noise: "comfort noise", kind_dtmf: "keys", kind_hold: "hold", kind_withheld: "withheld",
    kind_unrecognised: "not recognised", kind_speech: "utterances", timeline_of: "Timeline of %s", leg: "Leg", engine: "Engine", asr: "Recognition", packets: "Packets", lost: "Lost",
    late: "Late", foreign: "Foreign", jitter: "Jitter", codec: "Codec", mos: "MOS", loss: "Loss", latency: "Latency", count: "Count", last: "Last",
    mean: "Mean", worst: "Worst", oldest: "Oldest waits", no_timeline: "The gateway no longer has the timeline of this call; its words are below.",
    breaker_closed: "works", breaker_open: "fails, left alone", breaker_trying: "is being tried", asr_connecting: "connecting", asr_waiting: "waiting",
    asr_open: "open", asr_idle: "resting", asr_finishing: "finishing", asr_given_up: "given up", asr_done: "over", name: "Name", state: "State", sessions: "Sessions", starts: "Starts", outages: "Outages",
    address: "Address", waiting: "Waiting", delivered: "Delivered", dead: "Dead letters", result: "Last result", calls: "Calls",
    legs: "Legs", capacity: "Capacity", store: "Store", uptime: "Up for", loop_lag: "Event-loop lag", viewers: "Viewers", sip: "SIP",
    draining: "Draining", no_latency: "Nothing was measured yet.", p50: "median", p95: "95th percentile", minutes_ago: "%s min ago", now: "now",
    packet_to_asr_write: "Packet → recogniser", asr_write_to_heard: "Recogniser: write → heard", speech_start_to_partial: "Speech start → first words", partial_lag: "Words lag behind audio",
    speech_end_to_final: "Speech end → final", final_to_webhook: "Final → webhook", speech_end_to_webhook: "Speech end → webhook",
    unit_s: "s", unit_ms: "ms", failed: "That did not work: %s", gone: "There is no such call.",
  },
  ru: {
    skip: "К содержанию", views: "Разделы", live: "Сейчас", past: "Прошедшие", system: "Система", language: "Язык",
    theme: "Тема", theme_auto: "Как в системе", theme_light: "Светлая", theme_dark: "Тёмная", sign_in: "Войти", sign_out: "Выйти",
    live_calls: "Идущие звонки", filter: "Отбор", no_calls: "Звонков нет.", past_calls: "Прошедшие звонки", text: "Слова",
    number: "Номер", label: "Метка", since: "С", until: "По", search: "Найти", more: "Ещё", engines: "Распознаватели",
    webhooks: "Вебхуки", latency_hour: "Задержки за последний час", back: "Назад", timeline: "Ход разговора",
    transcript: "Расшифровка", quality: "Качество и задержки", token: "Токен", cancel: "Отмена", connected: "На связи",
    connecting: "Соединение…", cut: "Связь потеряна, пробуем снова…", refused: "Такой токен неизвестен.",
    needs_token: "Войдите, чтобы видеть звонки.", hang_up: "Завершить", hang_up_sure: "Завершить этот звонок?", pause: "Приостановить расшифровку: %s",
    resume: "Возобновить расшифровку: %s", up: "на связи", held: "на удержании", paused: "расшифровка приостановлена", ended: "завершено",
    reason_bye: "отбой", reason_cancel: "отменён", reason_hangup: "оператором", reason_rtp_timeout: "звук перестал приходить",
    reason_signalling_lost: "потеряна сигнализация", reason_failed: "ошибка", reason_drained: "шлюз остановлен", reason_gateway_stopped: "шлюз прекратил работу",
    reason_stream_removed: "поток убран", call_live: "идёт", call_ended: "завершён: %s", incomplete: "расшифровка неполна", complete: "расшифровка полна",
    found: "Найдено звонков: %s", nothing: "Ничего не найдено.", store_fault: "Хранилище не читается: %s", download: "Скачать %s",
    note_held: "%s: поставлен на удержание", note_resumed: "%s: снят с удержания", note_withheld: "%s: расшифровка приостановлена",
    note_released: "%s: расшифровка продолжается", note_leg_added: "%s: присоединение", note_leg_ended: "%s: отбой",
    note_degraded: "%s: распознаватель потерян: %t", note_recovered: "%s: распознаватель снова на связи", note_dtmf: "%s: нажата клавиша %t",
    refined: "уточнено", unknown_party: "неизвестен", kind_received: "принято", kind_concealed: "потеряно, заполнено", kind_pause: "пауза отправителя",
    kind_comfort_noise: "комфортный шум", kind_dtmf: "клавиши", kind_hold: "удержание", kind_withheld: "скрыто",
    kind_unrecognised: "не распознано", kind_speech: "высказывания", timeline_of: "Ход разговора: %s", leg: "Сторона", engine: "Распознаватель", asr: "Распознавание", packets: "Пакеты", lost: "Потеряно",
    late: "Опоздало", foreign: "Чужие", jitter: "Джиттер", codec: "Кодек", mos: "MOS", loss: "Потери", latency: "Задержка", count: "Число", last: "Последняя",
    mean: "Средняя", worst: "Худшая", oldest: "Старейшее ждёт", no_timeline: "Хода этого разговора у шлюза больше нет; слова ниже.",
    breaker_closed: "работает", breaker_open: "не отвечает, оставлен", breaker_trying: "проверяется", asr_connecting: "соединение", asr_waiting: "ожидание",
    asr_open: "открыто", asr_idle: "отдых", asr_finishing: "завершение", asr_given_up: "оставлено", asr_done: "окончено", name: "Имя", state: "Состояние", sessions: "Сессии", starts: "Запуски", outages: "Отказы",
    address: "Адрес", waiting: "Ждут", delivered: "Доставлено", dead: "Недоставленные", result: "Последний ответ", calls: "Звонки",
    legs: "Стороны", capacity: "Вместимость", store: "Хранилище", uptime: "Работает", loop_lag: "Задержка цикла событий", viewers: "Зрители", sip: "SIP",
    draining: "Завершается", no_latency: "Ещё ничего не измерено.", p50: "медиана", p95: "95-й процентиль", minutes_ago: "%s мин назад", now: "сейчас",
    packet_to_asr_write: "Пакет → распознаватель", asr_write_to_heard: "Распознаватель: отправка → обработка", speech_start_to_partial: "Начало речи → первые слова", partial_lag: "Отставание слов от звука",
    speech_end_to_final: "Конец речи → готовый текст", final_to_webhook: "Готовый текст → вебхук", speech_end_to_webhook: "Конец речи → вебхук",
    unit_s: "с", unit_ms: "мс", failed: "Не получилось: %s", gone: "Такого звонка нет.",
  },
};

export const language = localStorage.getItem("language") ?? (navigator.language.startsWith("ru") ? "ru" : "en");

/** Returns a text in the page's language. */
export function t(key, argument = "", second = "") {
  return (TEXTS[language][key] ?? TEXTS.en[key] ?? key).replace("%s", argument).replace("%t", second);
}

/** Puts the texts into the page. */
export function translate() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) element.ariaLabel = t(element.dataset.i18nLabel);
  for (const element of document.querySelectorAll("[data-i18n-placeholder]")) element.placeholder = t(element.dataset.i18nPlaceholder);
}

/** Returns a length of time as minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (value) => String(value).padStart(2, "0");
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}` : `${Math.floor(whole / 60)}:${pad(whole % 60)}`;
}

/** Returns a short time in a unit that suits it. */
export function duration(seconds) {
  if (seconds >= 120) return clock(seconds);
  const text = seconds >= 1 ? seconds.toFixed(2) : String(Number((seconds * 1000).toPrecision(3)));
  return `${text} ${t(seconds >= 1 ? "unit_s" : "unit_ms")}`;
}

/** Returns the time of day in the reader's own way. */
export function hour(time) {
  return new Date(time).toLocaleTimeString(language);
}

/** Returns a moment in the reader's own way. */
export function moment(time) {
  return new Date(time).toLocaleString(language, { dateStyle: "short", timeStyle: "medium" });
}
