/** As much of React Native as the example uses, for Node.js: components are their text, and the test sets the app's state. */

import { createElement, type ReactElement, type ReactNode } from "react";

interface Props {
  children?: ReactNode;
  style?: unknown;
  accessibilityRole?: string;
  accessibilityValue?: { min: number; max: number; now: number };
}

export const View = (props: Props): ReactElement => createElement("View", props);
export const Text = (props: Props): ReactElement => createElement("Text", props);
export const StyleSheet = { create: <T,>(styles: T): T => styles };

export type AppStateStatus = "active" | "background" | "inactive";

const listeners = new Set<(state: AppStateStatus) => void>();

export const AppState = {
  addEventListener(_: "change", listener: (state: AppStateStatus) => void): { remove(): void } {
    listeners.add(listener);
    return { remove: () => void listeners.delete(listener) };
  },
  /** Not React Native's: what the system would do. */
  become(state: AppStateStatus): void {
    for (const listener of listeners) listener(state);
  },
};
