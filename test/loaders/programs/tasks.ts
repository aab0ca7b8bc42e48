/** A user's module of tasks: what workers load when they get `task(import.meta.url, ...)`. */
import { Tensor, tensor } from 'shoal';
import { type ModuleTask, task } from 'shoal/data';

export const scale = (x: number, { k }: { readonly k: number }): number => (tensor([x]) instanceof Tensor ? x * k : 0);

/** The task names its own module. */
export const scaled = (k: number): ModuleTask => task(import.meta.url, 'scale', { k });
