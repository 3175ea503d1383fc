import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../shared/call";
import { Field } from "../shared/types";
import { Key, useWords } from "./texts";

type Values = Record<string, string>;

interface FormProps {
  fields: Field[];
  submit: string;
  busy: boolean;
  error: ApiError | null;
  send(values: Values): void;
}

/** A form of a campaign: before the chat, or instead of it when nobody is there. */
export function Form({ fields, submit, busy, error, send }: FormProps) {
  const { t } = useWords();
  const form = useRef<HTMLFormElement>(null);
  const [values, setValues] = useState<Values>({});
  const [wrong, setWrong] = useState<Record<string, Key>>({});
  const id = useId();

  // What the server did not like about a field is shown there.
  useLayoutEffect(() => {
    const refused: Record<string, Key> = {};
    for (const { location } of error?.errors || []) refused[location.replace(/^body\.prechat\./, "")] = "form.check";
    setWrong(refused);
  }, [error]);

  // What is typed lands in the first field without a click.
  useLayoutEffect(() => {
    form.current?.querySelector<HTMLElement>("input, select, textarea, button")?.focus({ preventScroll: true });
  }, []);

  const submitted = (e: Event) => {
    e.preventDefault();
    const found = check(fields, values);
    setWrong(found);
    const first = fields.find((f) => found[f.id]);
    if (first) form.current?.querySelector<HTMLElement>(`[name="${CSS.escape(first.id)}"]`)?.focus();
    else send(trimmed(fields, values));
  };

  return (
    <form ref={form} onSubmit={submitted} noValidate>
      {fields.map((f) => {
        const of = `${id}-${f.id}`;
        const shared = {
          id: of,
          name: f.id,
          value: values[f.id] || "",
          required: !!f.required,
          "aria-invalid": !!wrong[f.id],
          "aria-describedby": wrong[f.id] ? of + "-wrong" : undefined,
          onInput: (e: Event) => setValues({ ...values, [f.id]: (e.currentTarget as HTMLInputElement).value }),
        };
        return (
          <div class="field" key={f.id}>
            <label for={of}>
              {f.label}
              {!f.required && <span> ({t("form.optional")})</span>}
            </label>
            <Input field={f} shared={shared} choose={t("form.choose")} />
            {wrong[f.id] && (
              <p class="wrong" id={of + "-wrong"}>
                {t(wrong[f.id])}
              </p>
            )}
          </div>
        );
      })}
      <p class="wrong" role="alert">
        {error && t("form.failed")}
      </p>
      <button type="submit" class="main" aria-disabled={busy}>
        {busy ? t("form.sending") : submit}
      </button>
    </form>
  );
}

function Input({ field, shared, choose }: { field: Field; shared: any; choose: string }) {
  switch (field.type) {
    case "textarea":
      return <textarea {...shared} rows={4} maxLength={4000} />;
    case "select":
      return (
        <select {...shared}>
          <option value="">{choose}</option>
          {(field.options || []).map((o) => (
            <option key={o}>{o}</option>
          ))}
        </select>
      );
    default: {
      const kind = field.type === "email" ? "email" : field.type === "phone" ? "tel" : "text";
      const known = kind === "text" ? (field.id === "name" ? "name" : "on") : kind;
      return <input {...shared} type={kind} autocomplete={known} maxLength={400} />;
    }
  }
}

/** What is wrong, by field. The server checks again. */
function check(fields: Field[], values: Values): Record<string, Key> {
  const wrong: Record<string, Key> = {};
  for (const f of fields) {
    const value = (values[f.id] || "").trim();
    if (f.required && !value) wrong[f.id] = "form.required";
    else if (f.type === "email" && value && !/^\S+@\S+\.\S+$/.test(value)) wrong[f.id] = "form.email";
  }
  return wrong;
}

function trimmed(fields: Field[], values: Values): Values {
  const result: Values = {};
  for (const f of fields) {
    const value = (values[f.id] || "").trim();
    if (value) result[f.id] = value;
  }
  return result;
}
