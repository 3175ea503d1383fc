// The demo shop's own script: a customer's page that uses the widget's calls.

type Parlor = (command: string, ...args: unknown[]) => unknown;

/** Calls the widget; before its script is here, the call waits in the stub's queue. */
function parlor(command: string, ...args: unknown[]): unknown {
  const w = window as any;
  if (!w.Parlor) {
    const stub: any = function () {
      stub.q.push(arguments);
    };
    stub.q = [];
    w.Parlor = stub;
  }
  return (w.Parlor as Parlor)(command, ...args);
}

const cart: { items: number; value: number } = JSON.parse(sessionStorage.getItem("shop-cart") || '{"items":0,"value":0}');

function drawCart(): void {
  document.getElementById("cart")!.textContent = cart.items + "";
}

/** Sets variables and says beside the form whether that worked. */
async function set(variables: Record<string, string | number>): Promise<void> {
  const form = document.getElementById("vars") as HTMLFormElement;
  const status = document.getElementById("vars-status")!;
  try {
    await parlor("set", variables);
    status.textContent = form.dataset.done!;
  } catch {
    status.textContent = form.dataset.failed!;
  }
}

function listen(): void {
  document.addEventListener("click", (event) => {
    const target = (event.target as Element).closest<HTMLElement>("button");
    if (!target) return;
    const { price, plan, added, copied } = target.dataset;
    if (price) {
      cart.items++;
      cart.value += +price;
      sessionStorage.setItem("shop-cart", JSON.stringify(cart));
      drawCart();
      flash(target, added!);
      void set({ cart_items: cart.items, cart_value: cart.value });
    } else if (plan) {
      void set({ subscription: plan });
      parlor("open");
    } else if ("chat" in target.dataset) {
      parlor("open");
    } else if (copied) {
      const code = target.previousElementSibling!.textContent!;
      navigator.clipboard?.writeText(code).then(() => flash(target, copied));
    }
  });

  const form = document.getElementById("vars") as HTMLFormElement;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const variables: Record<string, string | number> = {};
    new FormData(form).forEach((value, name) => {
      if (value !== "") variables[name] = name === "cart_value" ? +value : String(value);
    });
    void set(variables);
  });
}

/** Shows a word on a button for a moment. */
function flash(button: HTMLElement, word: string): void {
  const before = button.dataset.label || button.textContent!;
  button.dataset.label = before;
  button.textContent = word;
  setTimeout(() => (button.textContent = before), 1200);
}

drawCart();
listen();
parlor("on", "ready", (value: { visitor: string }) => {
  const you = document.getElementById("you")!;
  you.textContent = `${you.dataset.you} ${value.visitor}`;
});
