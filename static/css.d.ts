/** A style sheet is text to the module that imports it. */
declare module '*.css' {
  const text: string
  export default text
}
