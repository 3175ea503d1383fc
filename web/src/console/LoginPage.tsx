import { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { ApiError } from "../shared/call";
import { Language } from "../shared/i18n";
import { Agent } from "../shared/types";
import { Login } from "./login";
import { useWords, Words } from "./words";

interface EntryProps {
  login: Login;
  entered(agent: Agent): void;
}

export function LoginPage({ login, entered, expired, setLanguage }: EntryProps & { expired: boolean; setLanguage(l: Language): void }) {
  const words = useWords();
  const { t } = words;
  const wrong = (e: ApiError) => (e.unauthorized ? t("login.wrong") : words.error(e));
  return (
    <Entry
      title={t("login.title")}
      text={expired ? t("login.expired") : ""}
      button={t("login.button")}
      wrong={wrong}
      submit={async (form) => entered(await login.login(form.login.trim(), form.password))}
      after={
        <button type="button" class="quiet" lang={words.language === "zh" ? "en" : "zh"} onClick={() => setLanguage(words.language === "zh" ? "en" : "zh")}>
          {words.language === "zh" ? "English" : "中文"}
        </button>
      }
    >
      <Field name="login" label={t("login.login")} autocomplete="username" focus />
      <Field name="password" label={t("login.password")} type="password" autocomplete="current-password" />
    </Entry>
  );
}

/** What the link that the server prints at its first start opens. */
export function SetupPage({ login, entered, token }: EntryProps & { token: string }) {
  const words = useWords();
  const { t } = words;
  return (
    <Entry
      title={t("setup.title")}
      text={t("setup.text")}
      button={t("setup.button")}
      wrong={(e) => detailed(words, e)}
      submit={async (form) =>
        entered(
          await login.setup({
            token,
            site: { id: form.site.trim(), name: form.siteName.trim() },
            agent: { login: form.login.trim(), name: form.name.trim(), password: form.password },
          }),
        )
      }
    >
      <Field name="siteName" label={t("setup.site.name")} focus />
      <Field name="site" label={t("setup.site")} hint={t("setup.site.hint")} pattern="[a-z0-9][a-z0-9._\-]{0,63}" />
      <Field name="name" label={t("setup.name")} autocomplete="name" />
      <Field name="login" label={t("setup.login")} autocomplete="username" pattern="[a-z0-9][a-z0-9._\-]{0,63}" />
      <Field name="password" label={t("setup.password")} hint={t("setup.password.hint")} type="password" autocomplete="new-password" minLength={10} />
    </Entry>
  );
}

function detailed(words: Words, e: ApiError): string {
  return [words.error(e), ...(e.errors || []).map((x) => `${x.location}: ${x.message}`)].join(" ");
}

interface FormProps {
  title: string;
  text: string;
  button: string;
  wrong(e: ApiError): string;
  submit(form: Record<string, string>): Promise<void>;
  children: ComponentChildren;
  after?: ComponentChildren;
}

function Entry({ title, text, button, wrong, submit, children, after }: FormProps) {
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const submitted = async (e: Event) => {
    e.preventDefault();
    if (busy) return;
    const form = Object.fromEntries(new FormData(e.currentTarget as HTMLFormElement)) as Record<string, string>;
    setBusy(true);
    setError("");
    try {
      await submit(form);
    } catch (problem) {
      setError(wrong(problem as ApiError));
      setBusy(false);
    }
  };
  return (
    <main class="entry">
      <form onSubmit={(e) => void submitted(e)} aria-labelledby="entry-title">
        <p class="brand" aria-hidden="true">
          Parlor
        </p>
        <h1 id="entry-title">{title}</h1>
        {text && <p class="soft">{text}</p>}
        {children}
        <p class="wrong" role="alert">
          {error}
        </p>
        <button type="submit" class="main" aria-disabled={busy}>
          {button}
        </button>
        {after}
      </form>
    </main>
  );
}

interface FieldProps {
  name: string;
  label: string;
  hint?: string;
  type?: "text" | "password";
  autocomplete?: string;
  pattern?: string;
  minLength?: number;
  focus?: boolean;
}

function Field({ name, label, hint, type = "text", autocomplete = "off", pattern, minLength, focus }: FieldProps) {
  return (
    <div class="field">
      <label for={"f-" + name}>{label}</label>
      <input
        id={"f-" + name}
        name={name}
        type={type as "text"}
        required
        autocomplete={autocomplete}
        autocapitalize="none"
        spellcheck={false}
        pattern={pattern}
        minLength={minLength}
        aria-describedby={hint ? `f-${name}-hint` : undefined}
        ref={focus ? focusOnce : undefined}
      />
      {hint && (
        <p class="hint" id={`f-${name}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

function focusOnce(input: HTMLInputElement | null): void {
  input?.focus();
}
