/** A crafting screen for React Native: progress, shortages and the place in the queue; quiet in the background. */

import type { Craftnet } from "@craftnet/client";
import { useCraft, usePercent, useQueue } from "@craftnet/client/react";
import { useEffect, type ReactElement } from "react";
import { AppState, StyleSheet, Text, View } from "react-native";

/** Lets go of all connections while the app is in the background, where the system would break them at any moment. */
export function useAppState(craftnet: Craftnet): void {
  useEffect(() => {
    const subscription = AppState.addEventListener("change", (state) => {
      if (state === "active") craftnet.resume();
      else if (state === "background") craftnet.suspend();
    });
    return () => subscription.remove();
  }, [craftnet]);
}

function Bar({ percent }: { percent: number }): ReactElement {
  return (
    <View
      style={styles.track}
      accessibilityRole="progressbar"
      accessibilityValue={{ min: 0, max: 100, now: Math.floor(percent) }}
    >
      <View style={[styles.bar, { width: `${percent}%` }]} />
    </View>
  );
}

export interface ScreenProps {
  craftnet: Craftnet;
  sessionId: string;
  playerId: string;
}

export default function CraftingScreen({ craftnet, sessionId, playerId }: ScreenProps): ReactElement {
  useAppState(craftnet);
  const { state, snapshot, result } = useCraft(craftnet, sessionId, { playerId });
  const { snapshot: places } = useQueue(craftnet, playerId);
  const percent = usePercent(snapshot.progress);
  const short = snapshot.materials.filter(({ problem }) => problem);
  return (
    <View style={styles.screen}>
      <Bar percent={percent} />
      <Text>{`${result?.result ?? snapshot.progress?.status ?? state}, ${percent.toFixed(1)} %`}</Text>
      {short.map(({ id, problem }) => (
        <Text key={id} style={styles.short}>{`${id}: ${problem!.type}`}</Text>
      ))}
      {Object.entries(places).map(([station, { queuePosition }]) => (
        <Text key={station}>{`${station}: place ${queuePosition}`}</Text>
      ))}
    </View>
  );
}

const styles = StyleSheet.create({
  screen: { padding: 16, gap: 8 },
  track: { height: 16, backgroundColor: "#ddd" },
  bar: { height: 16, backgroundColor: "#0072b2" },
  short: { color: "#d55e00" },
});
